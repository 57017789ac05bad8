// Values with client noise (Kairouz et al. 2021, arXiv 2102.06387; Agarwal et al. 2021,
// arXiv 2110.04995): a randomized Hadamard transform spreads the clipped update evenly over all
// coordinates, conditional rounding keeps the L2 norm that the accounting assumes, and exact
// Skellam noise is added in the ring. The whole padded vector is held in memory: 12 bytes per
// value.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/ring_writer.h"

namespace muster::secagg {

class NoisyValues {
 public:
  // `shrink` takes the update to its clip. `params` outlives it and has noise.
  NoisyValues(const Params& params, double shrink);
  void Set(uint64_t offset, std::span<const float> chunk);
  absl::Status WriteTo(RingWriter& writer, double bound, RandomSource& rounding,
                       RandomSource& noise) &&;

 private:
  const Params& params_;
  const double shrink_;
  std::vector<float> values_;
};

}  // namespace muster::secagg
