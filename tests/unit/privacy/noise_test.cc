#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "aggregation/privacy/buffered_random.h"
#include "aggregation/privacy/discrete_gaussian.h"
#include "aggregation/privacy/skellam.h"
#include "tests/unit/privacy/canonne_kamath_steinke.h"
#include "tests/unit/privacy/statistics.h"

namespace muster {
namespace {

using statistics::ExpectDistribution;
using statistics::ExpectGaussian;
using statistics::ExpectMoments;

constexpr size_t kSamples = 200'000;

template <typename Sampler>
std::vector<int64_t> Draw(const Sampler& sampler, uint64_t seed, size_t count = kSamples) {
  SeededRandom random(seed);
  std::vector<int64_t> samples(count);
  for (int64_t& sample : samples) sample = sampler.Sample(random);
  return samples;
}

// e^-V I_k(V) (Skellam 1946), by the standard library's Bessel function.
double SkellamProbability(double variance, int64_t k) {
  return std::exp(-variance) * std::cyl_bessel_i(std::abs(static_cast<double>(k)), variance);
}

double GaussianProbability(double sigma, int64_t k) {
  double sum = 0;
  const auto weight = [&](double x) { return std::exp(-x * x / (2 * sigma * sigma)); };
  for (double x = -12 * sigma - 2; x <= 12 * sigma + 2; ++x) sum += weight(std::round(x));
  return weight(static_cast<double>(k)) / sum;
}

class SkellamOf : public testing::TestWithParam<double> {};

TEST_P(SkellamOf, HasItsProbabilities) {
  const double variance = GetParam();
  const auto reach = static_cast<int64_t>(8 * std::sqrt(variance)) + 6;
  ExpectDistribution(Draw(SkellamSampler(variance), 11), -reach, reach,
                     [&](int64_t k) { return SkellamProbability(variance, k); });
}

TEST_P(SkellamOf, HasItsVariance) {
  // Fourth moment 3 V^2 + V.
  ExpectMoments(Draw(SkellamSampler(GetParam()), 12), GetParam(), 3 + 1 / GetParam());
}

INSTANTIATE_TEST_SUITE_P(Variances, SkellamOf,
                         testing::Values(0.01, 0.5, 1.0, 2.75, 20.0, 130.0, 399.5));

class LargeSkellamOf : public testing::TestWithParam<double> {};

TEST_P(LargeSkellamOf, IsGaussianWithItsVariance) {
  const auto samples = Draw(SkellamSampler(GetParam()), 13);
  ExpectMoments(samples, GetParam());
  ExpectGaussian(samples, std::sqrt(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Variances, LargeSkellamOf,
                         testing::Values(1e5, 3.3e6, 1e8, 1e10, 1e15, 0x1p100, kMaxNoiseVariance));

TEST(Skellam, IsAsOftenOddAsEvenAtLargeVariance) {
  int64_t odd = 0, low = 0;
  for (const int64_t sample : Draw(SkellamSampler(1e10), 14)) {
    odd += sample & 1;
    low += (sample & 0xFF) < 0x80 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(odd), kSamples / 2.0, 5 * std::sqrt(kSamples / 4.0));
  EXPECT_NEAR(static_cast<double>(low), kSamples / 2.0, 5 * std::sqrt(kSamples / 4.0));
}

TEST(Skellam, SumsOfClientsNoiseAreSkellamNoiseOfTheSumOfVariances) {
  constexpr int kClients = 5;
  constexpr double kVariance = 1.3;
  const SkellamSampler sampler(kVariance);
  SeededRandom random(15);
  std::vector<int64_t> sums(kSamples, 0);
  for (int client = 0; client < kClients; ++client) sampler.AddTo(sums, random);
  ExpectDistribution(sums, -30, 30,
                     [&](int64_t k) { return SkellamProbability(kClients * kVariance, k); });
}

TEST(Skellam, NeighbouringSamplesDoNotCorrelate) {
  const auto samples = Draw(SkellamSampler(1e6), 16);
  double products = 0;
  for (size_t i = 1; i < samples.size(); ++i) {
    products += static_cast<double>(samples[i]) * static_cast<double>(samples[i - 1]);
  }
  EXPECT_NEAR(products / 1e6 / kSamples, 0, 5 / std::sqrt(double{kSamples}));
}

class DiscreteGaussianOf : public testing::TestWithParam<double> {};

TEST_P(DiscreteGaussianOf, HasItsProbabilities) {
  const double sigma = GetParam();
  const auto reach = static_cast<int64_t>(8 * sigma) + 6;
  ExpectDistribution(Draw(DiscreteGaussianSampler(sigma), 21), -reach, reach,
                     [&](int64_t k) { return GaussianProbability(sigma, k); });
}

INSTANTIATE_TEST_SUITE_P(Sigmas, DiscreteGaussianOf, testing::Values(0.3, 0.7, 1.0, 3.25, 40.0));

class LargeDiscreteGaussianOf : public testing::TestWithParam<double> {};

TEST_P(LargeDiscreteGaussianOf, IsGaussianWithItsVariance) {
  const auto samples = Draw(DiscreteGaussianSampler(GetParam()), 22);
  ExpectMoments(samples, GetParam() * GetParam());
  ExpectGaussian(samples, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Sigmas, LargeDiscreteGaussianOf,
                         testing::Values(300.0, 1e5, 2.5e9, 0x1p57));

// Both against the same probabilities: the reference is right, and the sampler draws from what it
// draws from.
TEST(DiscreteGaussian, AgreesWithThePapersAlgorithms) {
  struct Variance {
    uint64_t numerator, denominator;
  };
  constexpr size_t kFew = 100'000;
  for (const Variance variance : {Variance{1, 4}, {9, 4}, {625, 4}}) {
    const double sigma = std::sqrt(static_cast<double>(variance.numerator) /
                                   static_cast<double>(variance.denominator));
    const auto reach = static_cast<int64_t>(8 * sigma) + 6;
    const auto probability = [&](int64_t k) { return GaussianProbability(sigma, k); };
    SeededRandom random(23);
    std::vector<int64_t> reference(kFew);
    for (int64_t& sample : reference) {
      sample = reference::DiscreteGaussian(variance.numerator, variance.denominator, random);
    }
    ExpectDistribution(reference, -reach, reach, probability);
    ExpectDistribution(Draw(DiscreteGaussianSampler(sigma), 24, kFew), -reach, reach, probability);
  }
}

TEST(DiscreteGaussian, AddToAddsSamplesOfTheBufferedSource) {
  const DiscreteGaussianSampler sampler(1234.5);
  SeededRandom source(25), same(25);
  BufferedRandom buffered(same);
  std::vector<int64_t> values(10'000, 7);
  sampler.AddTo(values, source);
  for (const int64_t value : values) ASSERT_EQ(value, 7 + sampler.Sample(buffered));
}

TEST(Noise, VariancesBeyondTheLimitsAreKnown) {
  EXPECT_TRUE(IsNoiseVariance(1));
  EXPECT_TRUE(IsNoiseVariance(kMinNoiseVariance));
  EXPECT_TRUE(IsNoiseVariance(kMaxNoiseVariance));
  EXPECT_FALSE(IsNoiseVariance(0));
  EXPECT_FALSE(IsNoiseVariance(-1));
  EXPECT_FALSE(IsNoiseVariance(kMinNoiseVariance / 2));
  EXPECT_FALSE(IsNoiseVariance(kMaxNoiseVariance * 2));
  EXPECT_FALSE(IsNoiseVariance(NAN));
  EXPECT_FALSE(IsNoiseVariance(INFINITY));
}

TEST(NoiseDeathTest, SamplersRefuseWhatIsNoVariance) {
  EXPECT_DEATH(SkellamSampler(0), "");
  EXPECT_DEATH(SkellamSampler{NAN}, "");
  EXPECT_DEATH(DiscreteGaussianSampler(-1), "");
}

TEST(Noise, TheSmallestVarianceGivesZerosOnly) {
  for (const int64_t sample : Draw(SkellamSampler(kMinNoiseVariance), 31, 10'000)) {
    ASSERT_EQ(sample, 0);
  }
}

TEST(BufferedRandom, GivesTheSourcesBytesInOrder) {
  SeededRandom source(41), same(41);
  BufferedRandom buffered(source);
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(buffered.Next64(), same.Next64());
}

TEST(BufferedRandom, NeverGivesTheSameBytesTwice) {
  SeededRandom source(42);
  BufferedRandom buffered(source);
  std::vector<uint8_t> before(24), after(24), large(20'000);
  for (int i = 0; i < 2000; ++i) {
    buffered.Fill(after);
    ASSERT_NE(before, after);
    before = after;
    if (i % 100 == 0) buffered.Fill(large);
  }
}

}  // namespace
}  // namespace muster
