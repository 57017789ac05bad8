#include "models/quantize/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace muster {
namespace {

float RoundTrip(const TensorScale& scale, float value) {
  const float q = std::round(value / scale.scale) + static_cast<float>(scale.zero_point);
  return scale.scale * (std::clamp(q, -128.0f, 127.0f) - static_cast<float>(scale.zero_point));
}

TEST(TensorScale, RepresentsZeroExactlyAndTheEndsToHalfAStep) {
  const std::pair<float, float> ranges[] = {
      {-1.0f, 1.0f}, {0.0f, 6.0f}, {-3.0f, 0.0f}, {2.0f, 3.0f}, {-0.001f, 100.0f}};
  for (const auto& [low, high] : ranges) {
    const TensorScale scale = ScaleForRange(low, high, 0);
    EXPECT_GE(scale.zero_point, -128);
    EXPECT_LE(scale.zero_point, 127);
    EXPECT_EQ(RoundTrip(scale, 0.0f), 0.0f);
    EXPECT_NEAR(RoundTrip(scale, low), low, scale.scale * 0.5001f);
    EXPECT_NEAR(RoundTrip(scale, high), high, scale.scale * 0.5001f);
  }
}

TEST(TensorScale, IsUsableForAnEmptyAndForAnEnormousRange) {
  EXPECT_TRUE(std::isnormal(ScaleForRange(0, 0, 0).scale));
  const float huge = std::numeric_limits<float>::max();
  EXPECT_TRUE(std::isnormal(ScaleForRange(-huge, huge, 0).scale));
}

TEST(RangeObserver, MinMaxIsExactAndHoldsZero) {
  RangeObserver observer;
  observer.Observe(std::vector<float>{0.25f, 3.5f, 1.0f});
  EXPECT_EQ(observer.MinMax().low, 0.0f);
  EXPECT_EQ(observer.MinMax().high, 3.5f);
}

TEST(RangeObserver, PercentileCutsOutliersButNotTheBody) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(100'000);
  for (float& value : values) value = normal(random);
  values[17] = 500.0f;
  RangeObserver observer;
  observer.Observe(values);
  const auto range = observer.Percentile(99.9);
  EXPECT_EQ(observer.MinMax().high, 500.0f);
  // A normal distribution has 0.05 percent beyond 3.29 on each side; a bin is 0.125 wide here.
  EXPECT_NEAR(range.high, 3.29f, 0.3f);
  EXPECT_NEAR(range.low, -3.29f, 0.3f);
}

TEST(RangeObserver, DoesNotDependOnTheOrderOfValues) {
  std::vector<float> values;
  for (int i = -2000; i < 3000; ++i) values.push_back(static_cast<float>(i) / 97);
  RangeObserver ascending, descending;
  ascending.Observe(values);
  std::reverse(values.begin(), values.end());
  for (float value : values) descending.Observe({&value, 1});
  for (double percentile : {90.0, 99.0, 99.99, 100.0}) {
    EXPECT_EQ(ascending.Percentile(percentile).low, descending.Percentile(percentile).low);
    EXPECT_EQ(ascending.Percentile(percentile).high, descending.Percentile(percentile).high);
  }
}

TEST(RangeObserver, NoticesWhatIsNotFinite) {
  RangeObserver observer;
  observer.Observe(std::vector<float>{1.0f, std::nanf("")});
  EXPECT_FALSE(observer.finite());
}

}  // namespace
}  // namespace muster
