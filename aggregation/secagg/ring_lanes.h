// What the encoder and the decoder agree on beyond ring.h.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "aggregation/secagg/ring.h"

namespace muster::secagg {

// Ring units, so that a client's largest lane stays within LargestMagnitude.
struct LaneUnits {
  double largest = 0;  // LargestMagnitude, rounded down to a double
  double weight = 0;   // of weight 1, and of an unclipped update; an integer
  double metric = 0;   // of 1; a fraction where the ring is small
};
absl::StatusOr<LaneUnits> LaneUnitsOf(const Params& params);

// Lanes follow the values, in this order.
inline uint64_t WeightLane(const Params& params) { return ValueCount(params); }
inline uint64_t UnclippedLane(const Params& params) { return WeightLane(params) + 1; }
inline uint64_t FirstMetricLane(const Params& params) {
  return UnclippedLane(params) + (params.clip_lane ? 1 : 0);
}

}  // namespace muster::secagg
