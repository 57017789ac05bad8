#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "aggregation/privacy/rounding.h"
#include "tests/unit/secagg_masks/ring_params.h"

namespace muster::secagg {
namespace {

Params NoisyParams(uint64_t dimension, double variance, uint32_t bits = 32) {
  Params params = SomeParams(dimension, bits);
  params.weighted = false;
  params.noise =
      ClientNoise{.variance_per_client = variance, .rotation_seed = Sha256("the rotation")};
  params.scale = FullScale(params).value();
  return params;
}

// Next to nothing: most samples are 0, and what is not is 1.
constexpr double kAlmostNoNoise = 0x1p-40;

TEST(EncodeWithNoise, TheVectorIsPaddedAndItsLanesHaveNoNoise) {
  const Params params = NoisyParams(1000, 500.0);
  SeededRandom random(1);
  const EncodedVector vector = Encode(params, RandomUpdate(1000, 0.5, random), {}, 1);
  ASSERT_TRUE(vector.encoded.ok());
  EXPECT_EQ(vector.bytes.size(), VectorBytes(params));
  EXPECT_EQ(ElementAt(params, vector.bytes, 1024), 65'536);
}

TEST(EncodeWithNoise, TheNoiseHasItsVarianceOnEveryValue) {
  // In the smallest ring the noise's deviation is half of what a value may be: cut off there, it
  // would lose a good part of its variance.
  for (const uint32_t bits : {16u, 32u, 64u}) {
    const Params params = NoisyParams(1u << 16, 10'000.0, bits);
    const EncodedVector vector = Encode(params, std::vector<float>(1u << 16), {}, 1);
    const RingSum sum = SumOf(params, {vector.bytes});
    double squares = 0, total = 0;
    for (uint64_t i = 0; i < params.dimension; ++i) {
      const auto value = static_cast<double>(sum.Element(i));
      squares += value * value;
      total += value;
    }
    // The mean of 65,536 samples has a deviation of 0.4, their mean square one of 55.
    EXPECT_NEAR(total / 65'536, 0, 8 * 0.4);
    EXPECT_NEAR(squares / 65'536, 10'000, 8 * 55.0);
  }
}

TEST(EncodeWithNoise, TheRoundedVectorStaysWithinTheNormThatIsAccountedFor) {
  Params params = NoisyParams(4096, kAlmostNoNoise);
  params.scale = 20;  // coarse: rounding lengthens the vector from 20 to about 36
  const double bound = ConditionalRoundingBound(params.scale * params.clip, 4096);
  SeededRandom random(1);
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const EncodedVector vector = Encode(params, RandomUpdate(4096, 5.0, random), {}, seed);
    ASSERT_TRUE(vector.encoded.ok()) << vector.encoded.status();
    EXPECT_TRUE(vector.encoded->clipped);
    const RingSum sum = SumOf(params, {vector.bytes});
    double squares = 0;
    for (uint64_t i = 0; i < 4096; ++i) {
      squares += static_cast<double>(sum.Element(i)) * static_cast<double>(sum.Element(i));
    }
    EXPECT_LE(squares, bound * bound);
    EXPECT_GT(squares, 20.0 * 20.0 * 0.9);
  }
}

TEST(EncodeWithNoise, TheMeanComesBackFromTheRotation) {
  const Params params = NoisyParams(3000, kAlmostNoNoise);
  SeededRandom random(2);
  std::vector<std::vector<uint8_t>> vectors;
  std::vector<double> expected(3000);
  constexpr int kClients = 4;
  for (int i = 0; i < kClients; ++i) {
    const std::vector<float> update = RandomUpdate(3000, 0.9, random);
    for (size_t j = 0; j < update.size(); ++j) expected[j] += update[j] / kClients;
    vectors.push_back(Encode(params, update, {}, static_cast<uint64_t>(i)).bytes);
  }
  std::vector<float> mean(3000);
  const auto sum = Decode(params, SumOf(params, vectors), mean);
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(sum->weight, kClients);
  for (size_t j = 0; j < mean.size(); ++j) EXPECT_NEAR(mean[j], expected[j], 1e-6);
}

TEST(EncodeWithNoise, TheSumsNoiseIsThatOfAllClients) {
  const Params params = NoisyParams(1u << 14, 1e4);
  SeededRandom random(3);
  const std::vector<float> update = RandomUpdate(1u << 14, 1.0, random);
  std::vector<std::vector<uint8_t>> vectors;
  for (uint64_t i = 0; i < 8; ++i) vectors.push_back(Encode(params, update, {}, i).bytes);
  std::vector<float> mean(1u << 14);
  ASSERT_TRUE(Decode(params, SumOf(params, vectors), mean).ok());
  double squares = 0;
  for (size_t i = 0; i < mean.size(); ++i) {
    const double error = (static_cast<double>(mean[i]) - update[i]) * params.scale * 8;
    squares += error * error;
  }
  // 16,384 samples of variance 8e4: a relative deviation of 0.011.
  EXPECT_NEAR(squares / static_cast<double>(mean.size()) / 8e4, 1, 8 * 0.011);
}

TEST(EncodeWithNoise, NanIsRefusedBeforeAnythingIsEmitted) {
  const Params params = NoisyParams(100, 10.0);
  std::vector<float> update(100);
  update[42] = std::numeric_limits<float>::quiet_NaN();
  const EncodedVector vector = Encode(params, update, {}, 1);
  EXPECT_EQ(vector.encoded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(vector.pieces.empty());
}

}  // namespace
}  // namespace muster::secagg
