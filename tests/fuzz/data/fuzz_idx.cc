#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "models/data/idx_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto header = muster::ParseIdxHeader({reinterpret_cast<const char*>(data), size});
  if (!header.ok()) return 0;
  // What is accepted can be allocated and indexed without overflow.
  uint64_t example = 1;
  for (size_t i = 1; i < header->dimensions.size(); ++i) example *= header->dimensions[i];
  if (header->bytes() > size || header->dimensions[0] == 0 ||
      header->dimensions[0] > muster::kMaxDatasetExamples || example == 0 ||
      example > muster::kMaxExampleElements) {
    std::abort();
  }
  return 0;
}
