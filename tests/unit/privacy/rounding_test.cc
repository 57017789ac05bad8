#include "aggregation/privacy/rounding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace muster {
namespace {

using ::testing::HasSubstr;

std::vector<float> VectorOfNorm(double norm, size_t size, uint64_t seed) {
  SeededRandom random(seed);
  std::vector<double> values(size);
  double squares = 0;
  for (double& v : values) {
    v = random.Unit() * 2 - 1;
    squares += v * v;
  }
  std::vector<float> scaled;
  for (const double v : values) scaled.push_back(static_cast<float>(v * norm / std::sqrt(squares)));
  return scaled;
}

double Norm(const std::vector<int64_t>& values) {
  double squares = 0;
  for (const int64_t v : values) squares += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(squares);
}

TEST(ConditionalRoundingBound, IsTheSmallerOfThePapersTwoBounds) {
  // c = 256, d = 2^20, beta = e^(-1/2):
  //   sqrt(256^2 + 2^18 + 256 + 512) = 573.10383...
  EXPECT_NEAR(ConditionalRoundingBound(256, 1 << 20), 573.1038300343141, 1e-9);
  // c = 10, d = 1: 11 is below sqrt(100 + 1/4 + sqrt(2 ln(10^20)) (10 + 1/2)).
  EXPECT_DOUBLE_EQ(ConditionalRoundingBound(10, 1, 1e-20), 11);
  EXPECT_DOUBLE_EQ(ConditionalRoundingBound(256, 1 << 20, 0), 256 + 1024);
}

TEST(ConditionalRound, KeepsTheBound) {
  SeededRandom random(1);
  for (const size_t size : {1u, 2u, 16u, 1024u, 65536u}) {
    for (const double clip : {0.01, 0.7, 5.0, 300.0, 1e6}) {
      const double bound = ConditionalRoundingBound(clip, size);
      const std::vector<float> scaled = VectorOfNorm(clip * (1 - 1e-6), size, size);
      std::vector<int64_t> rounded(size);
      for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(ConditionalRound(scaled, bound, random, rounded).ok()) << size << " " << clip;
        EXPECT_LE(Norm(rounded), bound);
      }
    }
  }
}

TEST(ConditionalRound, GivesOneOfTheTwoNeighbours) {
  SeededRandom random(2);
  const std::vector<float> scaled = {0.0f, 3.0f, -3.0f, 2.5f, -2.5f, 1e-30f, -1e-30f, 0x1p40f};
  std::vector<int64_t> rounded(scaled.size());
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(ConditionalRound(scaled, 1e13, random, rounded).ok());
    EXPECT_EQ(rounded[0], 0);
    EXPECT_EQ(rounded[1], 3);
    EXPECT_EQ(rounded[2], -3);
    EXPECT_TRUE(rounded[3] == 2 || rounded[3] == 3);
    EXPECT_TRUE(rounded[4] == -2 || rounded[4] == -3);
    EXPECT_EQ(rounded[5], 0);
    EXPECT_EQ(rounded[6], 0);
    EXPECT_EQ(rounded[7], int64_t{1} << 40);
  }
}

TEST(ConditionalRound, IsUnbiasedWhereTheBoundIsWide) {
  constexpr int kTrials = 20'000;
  SeededRandom random(3);
  const std::vector<float> scaled = {0.125f, -0.9f, 17.3f, -4.75f, 0.001f};
  std::vector<int64_t> rounded(scaled.size());
  std::vector<double> sums(scaled.size());
  for (int i = 0; i < kTrials; ++i) {
    ASSERT_TRUE(ConditionalRound(scaled, 1000, random, rounded).ok());
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += static_cast<double>(rounded[j]);
  }
  for (size_t j = 0; j < sums.size(); ++j) {
    EXPECT_NEAR(sums[j] / kTrials, scaled[j], 5 * 0.5 / std::sqrt(kTrials)) << j;
  }
}

// The condition pulls the mean toward zero; at the paper's beta by very little.
TEST(ConditionalRound, AtItsBoundIsAlmostUnbiased) {
  constexpr int kTrials = 2'000;
  constexpr size_t kSize = 256;
  SeededRandom random(4);
  const double clip = 40;
  const std::vector<float> scaled = VectorOfNorm(clip, kSize, 5);
  std::vector<int64_t> rounded(kSize);
  double along = 0;  // mean of <rounded, scaled> / clip^2
  for (int i = 0; i < kTrials; ++i) {
    ASSERT_TRUE(
        ConditionalRound(scaled, ConditionalRoundingBound(clip, kSize), random, rounded).ok());
    for (size_t j = 0; j < kSize; ++j) along += static_cast<double>(rounded[j]) * scaled[j];
  }
  EXPECT_NEAR(along / kTrials / (clip * clip), 1, 0.005);
}

TEST(ConditionalRound, RefusesAVectorThatIsLongerThanItsClip) {
  SeededRandom random(5);
  const std::vector<float> scaled = VectorOfNorm(1000, 64, 6);
  std::vector<int64_t> rounded(64);
  const absl::Status status =
      ConditionalRound(scaled, ConditionalRoundingBound(500, 64), random, rounded);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("longer than its clip"));
}

TEST(ConditionalRound, ABoundOfZeroOrNotANumberIsKeptByZeroOnly) {
  SeededRandom random(6);
  std::vector<int64_t> rounded(1);
  for (const double bound : {0.0, -1.0, std::nan("")}) {
    EXPECT_TRUE(ConditionalRound(std::vector<float>{0.0f}, bound, random, rounded).ok());
    EXPECT_FALSE(ConditionalRound(std::vector<float>{1.0f}, bound, random, rounded).ok());
  }
}

TEST(ConditionalRound, RefusesWhatIsNoNumberWithItsIndex) {
  SeededRandom random(7);
  std::vector<int64_t> rounded(3);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(), -0x1p60f}) {
    const absl::Status status =
        ConditionalRound(std::vector<float>{1.0f, 2.0f, bad}, 1e30, random, rounded);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("index 2"));
  }
  EXPECT_EQ(ConditionalRound(std::vector<float>{1.0f}, 10, random, rounded).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ConditionalRound, SumsOfSquaresAreExactBeyondSixtyFourBits) {
  SeededRandom random(8);
  const std::vector<float> scaled(16, 0x1.8p59f);  // of norm 1.5 * 2^61
  std::vector<int64_t> rounded(16);
  EXPECT_TRUE(ConditionalRound(scaled, 0x1.8000000000001p61, random, rounded).ok());
  EXPECT_EQ(ConditionalRound(scaled, 0x1.7ffffffffffffp61, random, rounded).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(ConditionalRound, SumsOfSquaresThatOverflowAreTooLong) {
  SeededRandom random(9);
  const std::vector<float> scaled(4096, 0x1.8p59f);
  std::vector<int64_t> rounded(4096);
  EXPECT_EQ(ConditionalRound(scaled, 1e300, random, rounded).code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace muster
