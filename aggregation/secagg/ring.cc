#include "aggregation/secagg/ring.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "aggregation/privacy/skellam.h"
#include "aggregation/secagg/ring_lanes.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

static_assert(kMaxRingMetrics == limits::kMaxSecAggMetrics);

bool PositiveFinite(double x) { return std::isfinite(x) && x > 0; }

uint64_t LargestOfRing(uint32_t bits) { return (uint64_t{1} << (bits - 1)) - 1; }

absl::Status CheckRingBits(uint32_t bits) {
  if (bits == 16 || bits == 32 || bits == 64) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat("a ring of ", bits, " bits: choose 16, 32 or 64"));
}

absl::Status CheckClientCounts(const Params& params) {
  if (params.min_clients >= 1 && params.min_clients <= params.max_clients &&
      params.max_clients <= limits::kMaxSecAggClients) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      StrCat("a session of ", params.min_clients, " to ", params.max_clients,
             " clients: the fewest are at least 1, the most at most ", limits::kMaxSecAggClients));
}

absl::Status CheckMetrics(const std::vector<std::string>& metrics) {
  if (metrics.size() > kMaxRingMetrics) {
    return absl::InvalidArgumentError(StrCat(metrics.size(), " metrics, above the limit of ",
                                             kMaxRingMetrics, " in one secure sum"));
  }
  std::vector<std::string> sorted = metrics;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    return absl::InvalidArgumentError(StrCat("metric ", *twice, " is listed twice"));
  }
  return absl::OkStatus();
}

// Noise covers the values alone, and its accounting lets every client count the same.
absl::Status CheckNoise(const Params& params) {
  if (!params.noise.has_value()) return absl::OkStatus();
  if (!IsNoiseVariance(params.noise->variance_per_client)) {
    return absl::InvalidArgumentError(
        StrCat("client noise of variance ", params.noise->variance_per_client,
               ": it must be between ", kMinNoiseVariance, " and ", kMaxNoiseVariance));
  }
  if (params.weighted || params.clip_lane || !params.metrics.empty()) {
    return absl::InvalidArgumentError(
        "with client noise every client weighs 1, and neither metrics nor the number of unclipped "
        "updates are summed: they would go without noise");
  }
  return absl::OkStatus();
}

// Ring units that the summed noise of all clients stays within, but for the tail beyond
// kNoiseTailSigmas.
double NoiseTail(const Params& params) {
  if (!params.noise.has_value()) return 0;
  const double variance = params.noise->variance_per_client * params.max_clients;
  return std::ceil(kNoiseTailSigmas * std::sqrt(variance));
}

// The largest double that is not above `x`.
double RoundDown(uint64_t x) {
  const auto nearest = static_cast<double>(x);
  // 2^64 itself does not convert back, and is above every x.
  const bool above = nearest >= 0x1p64 || static_cast<uint64_t>(nearest) > x;
  return above ? std::nextafter(nearest, 0.0) : nearest;
}

}  // namespace

uint64_t ValueCount(const Params& params) {
  return params.noise.has_value() ? std::bit_ceil(params.dimension) : params.dimension;
}

uint64_t VectorLength(const Params& params) {
  return FirstMetricLane(params) + params.metrics.size();
}

uint64_t VectorBytes(const Params& params) { return VectorLength(params) * (params.ring_bits / 8); }

absl::StatusOr<uint64_t> LargestMagnitude(const Params& params) {
  MUSTER_RETURN_IF_ERROR(CheckRingBits(params.ring_bits));
  MUSTER_RETURN_IF_ERROR(CheckClientCounts(params));
  const uint64_t ring = LargestOfRing(params.ring_bits);
  const double tail = NoiseTail(params);
  // Not (tail < ...): NaN is refused too.
  if (tail < static_cast<double>(ring)) {
    const uint64_t share = (ring - static_cast<uint64_t>(tail)) / params.max_clients;
    if (share >= 2) return share - 1;
  }
  return absl::InvalidArgumentError(
      StrCat("a ring of ", params.ring_bits, " bits has no room for ", params.max_clients,
             " clients", tail > 0 ? StrCat(" and noise of up to ", tail) : std::string(),
             ": take a larger ring or fewer clients"));
}

absl::StatusOr<double> FullScale(const Params& params) {
  if (!PositiveFinite(params.clip)) {
    return absl::InvalidArgumentError(
        StrCat("a clip of ", params.clip, ": it must be positive and finite"));
  }
  MUSTER_ASSIGN_OR_RETURN(const uint64_t largest, LargestMagnitude(params));
  const double bound = RoundDown(largest);
  // Finer than float32 is no finer, and sums with noise keep far away from 64 bits.
  const double useful = std::min(bound, kLargestUsefulMagnitude);
  double scale = useful / params.clip;
  while (scale * params.clip > bound) scale = std::nextafter(scale, 0.0);
  return scale;
}

absl::StatusOr<LaneUnits> LaneUnitsOf(const Params& params) {
  MUSTER_ASSIGN_OR_RETURN(const uint64_t largest, LargestMagnitude(params));
  LaneUnits units;
  units.largest = RoundDown(largest);
  units.weight = static_cast<double>(std::min(kWeightUnit, largest));
  // A power of two divides without rounding.
  static_assert(kMetricLimit == 64);
  units.metric = units.largest / kMetricLimit;
  return units;
}

absl::Status CheckParams(const Params& params) {
  if (params.dimension == 0 || params.dimension > limits::kMaxParameters) {
    return absl::InvalidArgumentError(StrCat(
        params.dimension, " parameters: a secure sum takes from 1 to ", limits::kMaxParameters));
  }
  if (params.examples_cap == 0) {
    return absl::InvalidArgumentError("a cap of 0 examples: no client would have a weight");
  }
  if (!PositiveFinite(params.clip) || !PositiveFinite(params.scale)) {
    return absl::InvalidArgumentError(StrCat("a clip of ", params.clip, " and a scale of ",
                                             params.scale, ": both must be positive and finite"));
  }
  MUSTER_RETURN_IF_ERROR(CheckMetrics(params.metrics));
  MUSTER_RETURN_IF_ERROR(CheckNoise(params));
  MUSTER_ASSIGN_OR_RETURN(const uint64_t largest, LargestMagnitude(params));
  if (params.scale * params.clip > RoundDown(largest)) {
    return absl::InvalidArgumentError(
        StrCat("a scale of ", params.scale, " takes a clip of ", params.clip, " to ",
               params.scale * params.clip, ", where ", params.max_clients, " clients in a ring of ",
               params.ring_bits, " bits have room for ", largest, " each: the sum could overflow"));
  }
  return absl::OkStatus();
}

}  // namespace muster::secagg
