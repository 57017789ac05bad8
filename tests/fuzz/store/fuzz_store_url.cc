// A store's URL: anything at all is read or refused, and no refusal repeats what it was given.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "coordinator/store/postgres/conninfo.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kTelling = 12;  // shorter inputs may be words of the message by chance
  const std::string url(reinterpret_cast<const char*>(data), size);
  const auto info = muster::ConnInfo::Parse(url);
  if (!info.ok()) {
    const std::string text = info.status().ToString();
    if (size >= kTelling && text.find(url) != std::string::npos) std::abort();
    return 0;
  }
  const std::string password((*info)->Get("password"));
  if (password.size() >= kTelling && (*info)->where().find(password) != std::string::npos &&
      (*info)->Redacted((*info)->where()).find(password) != std::string::npos) {
    std::abort();
  }
  const auto parameters = (*info)->parameters();
  if (parameters.keywords.size() != parameters.values.size()) std::abort();
  return 0;
}
