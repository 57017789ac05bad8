// The inner loops of the weighted sum: fixed-point lanes of 64 bits, one per parameter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace muster::lanes {

// One unit of a lane is 2^-24.
inline constexpr int kFractionBits = 24;

// The index of the first value that is NaN, infinite or larger than `limit` in magnitude;
// values.size() if there is none. `limit` is finite and not negative.
size_t FindOutOfRange(std::span<const float> values, float limit);

// lane[i] += round(value[i] * weight * 2^24), to the nearest, ties to even. The product is exact
// for weight < 2^29, so this rounding is the only one. Sizes are equal, |value| <= 2^10.
void AddScaled(std::span<int64_t> lanes, std::span<const float> values, uint64_t weight);

// lane[i] += other[i], sizes equal.
void AddLanes(std::span<int64_t> lanes, std::span<const int64_t> other);

// out[i] = lane[i] / (total_weight * 2^24) in double, rounded to float. Sizes are equal, the weight
// is not 0.
void Mean(std::span<const int64_t> lanes, uint64_t total_weight, std::span<float> out);

// The index of the first lane above `limit` in magnitude; lanes.size() if there is none.
size_t FindAbove(std::span<const int64_t> lanes, uint64_t limit);

}  // namespace muster::lanes
