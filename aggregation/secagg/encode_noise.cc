#include "aggregation/secagg/encode_noise.h"

#include <algorithm>

#include "aggregation/privacy/hadamard.h"
#include "aggregation/privacy/rounding.h"
#include "aggregation/privacy/skellam.h"
#include "proto/core/status.h"

namespace muster::secagg {

NoisyValues::NoisyValues(const Params& params, double shrink)
    : params_(params), shrink_(shrink), values_(ValueCount(params)) {}

void NoisyValues::Set(uint64_t offset, std::span<const float> chunk) {
  for (size_t i = 0; i < chunk.size(); ++i) {
    values_[offset + i] = static_cast<float>(static_cast<double>(chunk[i]) * shrink_);
  }
}

absl::Status NoisyValues::WriteTo(RingWriter& writer, double bound, RandomSource& rounding,
                                  RandomSource& noise) && {
  RandomizedHadamard(params_.noise->rotation_seed, values_);
  for (float& value : values_) {
    value = static_cast<float>(static_cast<double>(value) * params_.scale);
  }
  // What the accounting of the noise assumes of every client (aggregation/privacy/accountant.h).
  const double longest = ConditionalRoundingBound(params_.scale * params_.clip, values_.size());
  std::vector<int64_t> rounded(values_.size());
  MUSTER_RETURN_IF_ERROR(ConditionalRound(values_, longest, rounding, rounded));
  values_ = {};
  // Clipping keeps every value within the bound; this keeps out what arithmetic in floats may add.
  const auto largest = static_cast<int64_t>(bound);
  for (int64_t& value : rounded) value = std::clamp(value, -largest, largest);
  // With its noise a value may leave the bound, and the sum may wrap, as unlikely as
  // LargestMagnitude's room for the tail makes it. Cutting each client's noise off instead would
  // change its distribution, and so its privacy; wrapping happens to the noisy sum as a whole,
  // which costs none.
  SkellamSampler(params_.noise->variance_per_client).AddTo(rounded, noise);
  for (const int64_t value : rounded) MUSTER_RETURN_IF_ERROR(writer.Append(value));
  return absl::OkStatus();
}

}  // namespace muster::secagg
