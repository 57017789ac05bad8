#include "aggregation/sum/lanes.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <limits>
#include <vector>

#include "proto/core/random.h"

namespace muster::lanes {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// What AddScaled promises, straight from the definition: llrint rounds ties to even.
int64_t Reference(float value, uint64_t weight) {
  return std::llrint(std::ldexp(static_cast<double>(value) * static_cast<double>(weight), 24));
}

std::vector<int64_t> Scaled(const std::vector<float>& values, uint64_t weight) {
  std::vector<int64_t> lanes(values.size(), 0);
  AddScaled(lanes, values, weight);
  return lanes;
}

TEST(AddScaled, RoundsOnceToTheNearestTiesToEven) {
  const float half = 0x1p-25f;  // half a unit
  EXPECT_EQ(Scaled({half, 3 * half, 5 * half, -half, -3 * half}, 1),
            (std::vector<int64_t>{0, 2, 2, 0, -2}));
  EXPECT_EQ(Scaled({half, std::nextafter(half, 1.0f), std::nextafter(half, 0.0f)}, 1),
            (std::vector<int64_t>{0, 1, 0}));
  // The weight multiplies before the rounding: a value below a unit is not lost.
  EXPECT_EQ(Scaled({0x1p-30f}, 1u << 20), (std::vector<int64_t>{1 << 14}));
}

TEST(AddScaled, AgreesWithTheDefinitionOverTheWholeRange) {
  SeededRandom random(11);
  for (uint64_t weight : {1ull, 2ull, 3ull, 600ull, 65537ull, (1ull << 24), (1ull << 29) - 1}) {
    std::vector<float> values = {0.0f, -0.0f, 1024.0f, -1024.0f, 1e-45f, -1e-45f, 1023.99994f};
    for (int i = 0; i < 5000; ++i) {
      const double magnitude =
          std::ldexp(random.Unit() + 0.5, static_cast<int>(random.Below(45)) - 35);
      const float value = static_cast<float>(std::min(magnitude, 1024.0));
      values.push_back(random.Below(2) == 0 ? value : -value);
    }
    const std::vector<int64_t> lanes = Scaled(values, weight);
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(lanes[i], Reference(values[i], weight)) << values[i] << " x " << weight;
    }
  }
}

TEST(AddScaled, LargestTermIsExact) {
  EXPECT_EQ(Scaled({1024.0f, -1024.0f}, (1ull << 29) - 1),
            (std::vector<int64_t>{((1ll << 29) - 1) << 34, -(((1ll << 29) - 1) << 34)}));
}

TEST(FindOutOfRange, FindsTheFirstOffenderAtAnyPosition) {
  for (size_t size : {1u, 7u, 8u, 4096u, 4097u, 10'000u}) {
    std::vector<float> values(size, -1024.0f);
    EXPECT_EQ(FindOutOfRange(values, 1024.0f), size);
    for (size_t position : {size_t{0}, size / 2, size - 1}) {
      for (float bad : {kNan, -kNan, kInf, -kInf, std::nextafter(1024.0f, kInf), -1e30f}) {
        values[position] = bad;
        EXPECT_EQ(FindOutOfRange(values, 1024.0f), position) << bad;
        values[position] = 1024.0f;
      }
    }
  }
  EXPECT_EQ(FindOutOfRange({}, 1024.0f), 0u);
}

TEST(FindAbove, ComparesMagnitudesWithoutOverflow) {
  const std::vector<int64_t> lanes = {5, -5, 6, std::numeric_limits<int64_t>::min()};
  EXPECT_EQ(FindAbove(lanes, 5), 2u);
  EXPECT_EQ(FindAbove(lanes, 6), 3u);
  EXPECT_EQ(FindAbove(lanes, 1ull << 63), 4u);
}

}  // namespace
}  // namespace muster::lanes
