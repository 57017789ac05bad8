#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "models/data/tensor_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto shape = muster::ParseShapeJson({reinterpret_cast<const char*>(data), size});
  if (!shape.ok()) return 0;
  uint64_t elements = 1;
  for (uint32_t dimension : *shape) elements *= dimension;
  if (shape->empty() || shape->size() > muster::kMaxExampleRank || elements == 0 ||
      elements > muster::kMaxExampleElements) {
    std::abort();
  }
  return 0;
}
