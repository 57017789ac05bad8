#include "aggregation/sum/weighted_sum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> MeanOf(const WeightedSum& sum) {
  std::vector<float> mean(sum.size());
  EXPECT_TRUE(sum.Mean(mean).ok());
  return mean;
}

TEST(WeightedSum, MeanWeighsEachClientByItsExamples) {
  WeightedSum sum(2);
  ASSERT_TRUE(sum.Add(std::vector<float>{1.0f, -2.0f}, 1).ok());
  ASSERT_TRUE(sum.Add(std::vector<float>{3.0f, 6.0f}, 3).ok());
  EXPECT_EQ(sum.clients(), 2u);
  EXPECT_EQ(sum.total_weight(), 4u);
  EXPECT_THAT(MeanOf(sum), ElementsAre(2.5f, 4.0f));
}

TEST(WeightedSum, MeanOfOneClientIsItsUpdateWithinTheFixedPointsStep) {
  const std::vector<float> delta = {0.1f, -1e-3f, 123.456f, 1e-6f, -1024.0f};
  WeightedSum sum(delta.size());
  ASSERT_TRUE(sum.Add(delta, 600).ok());
  const std::vector<float> mean = MeanOf(sum);
  for (size_t i = 0; i < delta.size(); ++i) {
    const double float_step = std::abs(delta[i]) * 0x1p-24;
    EXPECT_NEAR(mean[i], delta[i], 0x1p-25 / 600 + float_step);
  }
}

TEST(WeightedSum, RefusesNanInfinityAndHugeValuesWithTheirIndexAndKeepsTheSum) {
  WeightedSum sum(5000);
  std::vector<float> good(5000, 0.5f);
  ASSERT_TRUE(sum.Add(good, 7).ok());
  const WeightedSum before = sum;
  const std::vector<std::pair<float, std::string>> bads = {{kNan, "NaN at index 4321"},
                                                           {kInf, "an infinity at index 4321"},
                                                           {-kInf, "an infinity at index 4321"},
                                                           {1024.5f, "1024.5 at index 4321"},
                                                           {-1e9f, "-1e+09 at index 4321"}};
  for (const auto& [bad, message] : bads) {
    std::vector<float> delta = good;
    delta[4321] = bad;
    const absl::Status status = sum.Add(delta, 3);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(StdView(status.message()), HasSubstr(message));
    EXPECT_EQ(sum, before);
  }
}

TEST(WeightedSum, RefusesAnotherShapeAndKeepsTheSum) {
  WeightedSum sum(3);
  const WeightedSum before = sum;
  for (size_t size : {0u, 2u, 4u}) {
    const absl::Status status = sum.Add(std::vector<float>(size, 1.0f), 1);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(StdView(status.message()), HasSubstr("shares 3"));
  }
  EXPECT_EQ(sum, before);
}

TEST(WeightedSum, AcceptsTheWeightLimitItselfAndRefusesOneMore) {
  for (float extreme : {kMaxDelta, -kMaxDelta}) {
    const std::vector<float> delta = {extreme};
    WeightedSum sum(1);
    ASSERT_TRUE(sum.Add(delta, kMaxTotalWeight - 1).ok());
    ASSERT_TRUE(sum.Add(delta, 1).ok());
    EXPECT_EQ(sum.total_weight(), kMaxTotalWeight);
    EXPECT_THAT(MeanOf(sum), ElementsAre(extreme));  // an overflow would have changed the sign
    const WeightedSum before = sum;
    const absl::Status status = sum.Add(delta, 1);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(sum, before);
  }
  EXPECT_EQ(WeightedSum(1).CanAdd(kMaxTotalWeight + 1).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(WeightedSum(1).CanAdd(std::numeric_limits<uint64_t>::max()).ok());
}

TEST(WeightedSum, RefusesWeightZero) {
  WeightedSum sum(1);
  EXPECT_EQ(sum.Add(std::vector<float>{1.0f}, 0).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(sum.clients(), 0u);
}

TEST(WeightedSum, CheckFiniteCountsFromTheStartOfTheUpdate) {
  const absl::Status status = WeightedSum::CheckFinite(std::vector<float>{0, 0, kNan}, 1000);
  EXPECT_THAT(StdView(status.message()), HasSubstr("index 1002"));
  EXPECT_TRUE(WeightedSum::CheckFinite(std::vector<float>{1024.0f, -1024.0f}, 0).ok());
}

TEST(WeightedSum, HasNoMeanWithoutClients) {
  std::vector<float> out(2);
  EXPECT_EQ(WeightedSum(2).Mean(out).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(WeightedSum, MeanInPartsIsTheMeanOfTheWhole) {
  WeightedSum sum(10);
  std::vector<float> delta(10);
  for (size_t i = 0; i < 10; ++i) delta[i] = static_cast<float>(i) / 7;
  ASSERT_TRUE(sum.Add(delta, 3).ok());
  std::vector<float> parts(10);
  for (size_t i = 0; i < 10; i += 4) {
    const size_t n = std::min<size_t>(4, 10 - i);
    ASSERT_TRUE(sum.Mean(i, std::span(parts).subspan(i, n)).ok());
  }
  EXPECT_EQ(parts, MeanOf(sum));
  EXPECT_FALSE(sum.Mean(7, parts).ok());
  EXPECT_FALSE(sum.Mean(std::numeric_limits<uint64_t>::max(), parts).ok());
  std::vector<float> shorter(9);
  EXPECT_FALSE(sum.Mean(shorter).ok());
}

TEST(WeightedSum, MergeRefusesAnotherShapeAndTooMuchWeightAndKeepsTheSum) {
  WeightedSum a(1), b(1), wide(2);
  ASSERT_TRUE(a.Add(std::vector<float>{1.0f}, kMaxTotalWeight - 5).ok());
  ASSERT_TRUE(b.Add(std::vector<float>{1.0f}, 6).ok());
  const WeightedSum before = a;
  EXPECT_EQ(a.MergeFrom(b).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(a.MergeFrom(wide).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(a, before);
  EXPECT_TRUE(a.MergeFrom(WeightedSum(1)).ok());
  EXPECT_EQ(a, before);
}

TEST(WeightedSumDeathTest, ABrokenCallStopsTheProcess) {
  WeightedSum sum(4);
  const std::vector<float> chunk(3, 1.0f);
  EXPECT_DEATH(sum.AddChunk(2, chunk, 1), "");
  EXPECT_DEATH(sum.AddChunk(0, chunk, 0), "");
  EXPECT_DEATH(sum.FinishClient(kMaxTotalWeight + 1), "");
}

}  // namespace
}  // namespace muster
