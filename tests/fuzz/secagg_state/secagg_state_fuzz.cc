// Whatever the bytes: parsing refuses them or gives a state that writes the same bytes again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "aggregation/secagg/client/client.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto state = muster::secagg::ParseState(bytes);
  if (!state.ok()) return 0;
  if (muster::secagg::EncodeState(*state) != bytes) std::abort();
  if (muster::secagg::StateName(*state).empty()) std::abort();
  return 0;
}
