#include "aggregation/sum/lanes.h"

#include <algorithm>
#include <bit>
#include <cassert>

// Each loop is also compiled for AVX2 and chosen when the program is loaded. The choice changes no
// result: every floating-point step in AddScaled is exact but for the rounding that defines it.
// Sanitizers and ifuncs do not mix: the resolver would run before the sanitizer's runtime is up.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MUSTER_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define MUSTER_CLONES
#endif

namespace muster::lanes {
namespace {

constexpr size_t kBlock = 4096;  // values examined between two decisions to go on

// Adding this to a double below 2^51 in magnitude leaves the nearest integer in the low bits.
constexpr double kRounder = 0x1.8p52;
constexpr uint64_t kRounderBits = std::bit_cast<uint64_t>(kRounder);

// round(x) for |x| <= 2^63 in steps that SSE2 and AVX2 have for whole vectors; they have no
// conversion from double to int64. The upper half is taken off first, exactly; the rest is below
// 2^32 and rounds. The upper half is a multiple of 2^32, so ties go where they would have gone.
inline uint64_t RoundToInteger(double x) {
  const double upper = x * 0x1p-32 + kRounder;
  const double rest = x - (upper - kRounder) * 0x1p32;
  const uint64_t high = std::bit_cast<uint64_t>(upper) - kRounderBits;
  const uint64_t low = std::bit_cast<uint64_t>(rest + kRounder) - kRounderBits;
  return (high << 32) + low;
}

MUSTER_CLONES
bool AnyOutOfRange(const float* values, size_t n, uint32_t limit_bits) {
  uint32_t bad = 0;
  // Without the sign, the bits of floats sort as the floats do, with Inf and NaN at the top.
  for (size_t i = 0; i < n; ++i) {
    bad |= (std::bit_cast<uint32_t>(values[i]) & 0x7fffffffu) > limit_bits ? 1u : 0u;
  }
  return bad != 0;
}

MUSTER_CLONES
void AddScaledLoop(int64_t* __restrict lanes, const float* __restrict values, size_t n,
                   double scale) {
  for (size_t i = 0; i < n; ++i) {
    const uint64_t q = RoundToInteger(static_cast<double>(values[i]) * scale);
    lanes[i] = static_cast<int64_t>(static_cast<uint64_t>(lanes[i]) + q);
  }
}

MUSTER_CLONES
void AddLanesLoop(int64_t* __restrict lanes, const int64_t* __restrict other, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    lanes[i] =
        static_cast<int64_t>(static_cast<uint64_t>(lanes[i]) + static_cast<uint64_t>(other[i]));
  }
}

bool LaneAbove(int64_t lane, uint64_t limit) {
  const uint64_t magnitude =
      lane < 0 ? 0 - static_cast<uint64_t>(lane) : static_cast<uint64_t>(lane);
  return magnitude > limit;
}

}  // namespace

size_t FindOutOfRange(std::span<const float> values, float limit) {
  const uint32_t limit_bits = std::bit_cast<uint32_t>(limit);
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const size_t n = std::min(kBlock, values.size() - begin);
    if (!AnyOutOfRange(values.data() + begin, n, limit_bits)) continue;
    size_t i = begin;
    while (!AnyOutOfRange(values.data() + i, 1, limit_bits)) ++i;
    return i;
  }
  return values.size();
}

void AddScaled(std::span<int64_t> lanes, std::span<const float> values, uint64_t weight) {
  assert(lanes.size() == values.size());
  const double scale = static_cast<double>(weight) * static_cast<double>(1u << kFractionBits);
  AddScaledLoop(lanes.data(), values.data(), values.size(), scale);
}

void AddLanes(std::span<int64_t> lanes, std::span<const int64_t> other) {
  assert(lanes.size() == other.size());
  AddLanesLoop(lanes.data(), other.data(), other.size());
}

void Mean(std::span<const int64_t> lanes, uint64_t total_weight, std::span<float> out) {
  assert(lanes.size() == out.size() && total_weight > 0);
  const double divisor =
      static_cast<double>(total_weight) * static_cast<double>(1u << kFractionBits);
  for (size_t i = 0; i < lanes.size(); ++i) {
    out[i] = static_cast<float>(static_cast<double>(lanes[i]) / divisor);
  }
}

size_t FindAbove(std::span<const int64_t> lanes, uint64_t limit) {
  for (size_t i = 0; i < lanes.size(); ++i) {
    if (LaneAbove(lanes[i], limit)) return i;
  }
  return lanes.size();
}

}  // namespace muster::lanes
