// Numbers in the ring Z_2^b, two's complement, little endian: how an update becomes integers that
// can be masked, and how their sum becomes a mean again.
//
//   x = stochastic_round(scale * w * clip_L2(update, C)),  w = min(examples, cap) / cap
//   mean = (sum x / scale) / (sum w)
//
// Lanes follow the values: weight (stochastic_round(unit * w)), "unclipped" (unit or 0), then one
// for each metric (w * metric, clamped). Overflow is impossible: max_clients * (max|x| + 1) plus
// the noise's tail stays below 2^(b-1), which both sides check before they start.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/device_messages.h"
#include "proto/core/random.h"
#include "proto/core/secagg_messages.h"

namespace muster::secagg {

inline constexpr double kMetricLimit = 64;         // |metric| beyond it is clamped
inline constexpr uint64_t kWeightUnit = 1u << 16;  // ring units of weight 1, at most
inline constexpr double kNoiseTailSigmas = 12;     // of the summed noise, kept free of overflow
inline constexpr uint32_t kMaxRingMetrics = 16;
// Ring units that FullScale gives an update of the clip's length, at most.
inline constexpr double kLargestUsefulMagnitude = 0x1p40;

uint64_t ValueCount(
    const Params& params);  // values: dimension, or its next power of two with noise
uint64_t VectorLength(const Params& params);  // values and lanes
uint64_t VectorBytes(const Params& params);   // VectorLength * ring_bits / 8

// The largest |x| of one client: floor((2^(b-1) - 1 - noise tail) / max_clients) - 1.
// InvalidArgument with the numbers if less than 1 is left.
absl::StatusOr<uint64_t> LargestMagnitude(const Params& params);
// The scale that uses the ring fully, as far as that helps: LargestMagnitude / clip, at most
// kLargestUsefulMagnitude / clip.
absl::StatusOr<double> FullScale(const Params& params);
// Ring bits, positive finite clip and scale, metrics, client counts, overflow bound.
// InvalidArgument.
absl::Status CheckParams(const Params& params);

// One client's contribution apart from the update.
struct Contribution {
  uint64_t examples = 0;
  Metrics metrics;  // by name; a missing one counts as 0
};

// Reads the update in chunks: fills `out` from element `offset`, twice over the whole vector.
using UpdateSource = std::function<absl::Status(uint64_t offset, std::span<float> out)>;
// Takes the ring elements of the whole vector in order, as bytes; a multiple of 16 except the last.
using RingSink = std::function<absl::Status(uint64_t byte_offset, std::span<uint8_t> bytes)>;

struct Encoded {
  double norm = 0;  // L2, before clipping
  bool clipped = false;
};
// Streams the clear ring vector to `sink`, which may change the bytes in place. `rounding` decides
// stochastic rounding and need not be secret; `noise` is the source of privacy noise and is used
// only with params.noise. InvalidArgument for NaN or infinity, with the index, before anything is
// emitted.
absl::StatusOr<Encoded> EncodeUpdate(const Params& params, const Contribution& contribution,
                                     const UpdateSource& update, RandomSource& rounding,
                                     RandomSource& noise, const RingSink& sink);

// The unmasked sum, decoded.
struct DecodedSum {
  double weight = 0;     // sum of w
  double unclipped = 0;  // clients whose update was within the clip
  Metrics metrics;       // weighted means
};
// `elements(i)` is the signed ring element i of the sum. Writes the mean update, [dimension].
// FailedPrecondition if the weights sum to nothing.
absl::StatusOr<DecodedSum> DecodeSum(const Params& params,
                                     const std::function<int64_t(uint64_t)>& element,
                                     std::span<float> mean);

}  // namespace muster::secagg
