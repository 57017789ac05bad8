// Whatever the bytes: parsing refuses them or gives a sum that writes the same bytes again and can
// be used.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include "aggregation/sum/weighted_sum.h"

namespace {

// Reading the mean off the bytes, slice by slice, must give what the whole sum gives.
bool ReadsAsItsOwnMean(std::string_view bytes, const std::vector<float>& mean, bool has_mean) {
  const muster::ByteSource part = [bytes](std::span<char> buffer) mutable {
    const size_t n = std::min(buffer.size(), bytes.size());
    std::copy_n(bytes.begin(), n, buffer.begin());
    bytes.remove_prefix(n);
    return absl::StatusOr<size_t>(n);
  };
  std::vector<float> read(mean.size());
  const bool ok = muster::MeanOfParts({&part, 1}, read).ok();
  return ok == has_mean && (!ok || read == mean);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto sum = muster::WeightedSum::Parse(bytes);
  if (!sum.ok()) return 0;
  if (sum->Serialize() != bytes) std::abort();
  std::vector<float> mean(sum->size());
  if (sum->Mean(mean).ok() != (sum->clients() > 0)) std::abort();
  if (!ReadsAsItsOwnMean(bytes, mean, sum->clients() > 0)) std::abort();
  if (!muster::WeightedSum::CheckFinite(mean, 0).ok()) std::abort();
  if (sum->CanAdd(1).ok() && !sum->Add(mean, 1).ok()) std::abort();
  return 0;
}
