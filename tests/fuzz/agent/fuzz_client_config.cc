// client.yaml: whatever stands in it, it is read or refused.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "client/agent/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto nothing_set = [](const std::string&) -> std::optional<std::string> {
    return std::nullopt;
  };
  auto config = muster::ParseConfig(text, "client.yaml", "/", nothing_set, {});
  if (config.ok()) muster::ToDataSource(config->data);
  return 0;
}
