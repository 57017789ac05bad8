// Whatever the bytes: parsing refuses them or gives a sum that writes the same bytes again and can
// be used.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "aggregation/sum/weighted_sum.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto sum = muster::WeightedSum::Parse(bytes);
  if (!sum.ok()) return 0;
  if (sum->Serialize() != bytes) std::abort();
  std::vector<float> mean(sum->size());
  if (sum->Mean(mean).ok() != (sum->clients() > 0)) std::abort();
  if (!muster::WeightedSum::CheckFinite(mean, 0).ok()) std::abort();
  if (sum->CanAdd(1).ok() && !sum->Add(mean, 1).ok()) std::abort();
  return 0;
}
