#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/secagg_masks/ring_params.h"

namespace muster::secagg {
namespace {

TEST(DecodeSum, GivesTheWeightedMean) {
  struct Case {
    uint32_t bits, clients;
  };
  for (const Case c : {Case{16, 20}, Case{32, 20}, Case{32, 300}, Case{64, 20}}) {
    const size_t size = 500;
    const Params params = SomeParams(size, c.bits, c.clients);
    SeededRandom random(c.bits + c.clients);
    std::vector<std::vector<uint8_t>> vectors;
    std::vector<double> expected(size);
    double total = 0;
    for (uint32_t i = 0; i < c.clients; ++i) {
      const std::vector<float> update = RandomUpdate(size, 0.2 + 0.8 * random.Unit(), random);
      const uint64_t examples = 20 + random.Below(200);
      const double weight = static_cast<double>(std::min<uint64_t>(examples, 100)) / 100;
      for (size_t j = 0; j < size; ++j) expected[j] += weight * update[j];
      total += weight;
      vectors.push_back(Encode(params, update, {.examples = examples}, i).bytes);
    }
    std::vector<float> mean(size);
    const auto sum = Decode(params, SumOf(params, vectors), mean);
    ASSERT_TRUE(sum.ok());
    // The weight lane has at most a unit per client of error.
    const double unit =
        1.0 / std::min<double>(65'536, static_cast<double>(LargestMagnitude(params).value()));
    EXPECT_NEAR(sum->weight, total, c.clients * unit);
    // Each client rounds each value by less than a unit.
    const double tolerance =
        c.clients / params.scale / total + 1.0 * c.clients * unit / total + 1e-6;
    for (size_t j = 0; j < size; ++j) {
      EXPECT_NEAR(mean[j], expected[j] / total, tolerance) << c.bits;
    }
  }
}

TEST(DecodeSum, OneClientComesBackAsItWas) {
  SeededRandom random(3);
  for (const uint32_t bits : {32u, 64u}) {
    const Params params = SomeParams(1000, bits);
    const std::vector<float> update = RandomUpdate(1000, 0.7, random);
    std::vector<float> mean(1000);
    const EncodedVector vector = Encode(params, update, {.examples = 100}, 9);
    ASSERT_TRUE(Decode(params, SumOf(params, {vector.bytes}), mean).ok());
    for (size_t i = 0; i < mean.size(); ++i) {
      EXPECT_NEAR(mean[i], update[i], 1.01 / params.scale + 1e-8);
    }
  }
}

TEST(DecodeSum, MetricsAreWeightedMeans) {
  for (const uint32_t bits : {16u, 32u, 64u}) {
    Params params = SomeParams(3, bits, 10);
    params.metrics = {"loss", "accuracy"};
    params.clip_lane = true;
    const std::vector<float> update(3);
    std::vector<std::vector<uint8_t>> vectors;
    vectors.push_back(Encode(params, update, {100, {{"loss", 2.0}, {"accuracy", 0.5}}}, 1).bytes);
    vectors.push_back(Encode(params, update, {50, {{"loss", 5.0}, {"accuracy", 1.0}}}, 2).bytes);
    std::vector<float> mean(3);
    const auto sum = Decode(params, SumOf(params, vectors), mean);
    ASSERT_TRUE(sum.ok());
    // In the smallest ring a unit is a fiftieth.
    const double tolerance = bits == 16 ? 0.05 : 1e-5;
    EXPECT_NEAR(sum->metrics.at("loss"), (2.0 + 2.5) / 1.5, tolerance);
    EXPECT_NEAR(sum->metrics.at("accuracy"), (0.5 + 0.5) / 1.5, tolerance);
    EXPECT_EQ(sum->unclipped, 2);
  }
}

TEST(DecodeSum, MetricsAreClampedAndMissingOnesAreZero) {
  Params params = SomeParams(1);
  params.metrics = {"high", "low", "infinite", "missing"};
  const Contribution contribution{.examples = 100,
                                  .metrics = {{"high", 1e9},
                                              {"low", -65.0},
                                              {"infinite", std::numeric_limits<double>::infinity()},
                                              {"another", 3.0}}};
  const EncodedVector vector = Encode(params, {0.0f}, contribution, 1);
  const auto sum = DecodeLanes(params, SumOf(params, {vector.bytes}));
  ASSERT_TRUE(sum.ok());
  EXPECT_THAT(sum->metrics, testing::UnorderedElementsAre(testing::Pair("high", kMetricLimit),
                                                          testing::Pair("low", -kMetricLimit),
                                                          testing::Pair("infinite", kMetricLimit),
                                                          testing::Pair("missing", 0.0)));
  const Contribution nan{.examples = 1,
                         .metrics = {{"low", std::numeric_limits<double>::quiet_NaN()}}};
  EXPECT_EQ(Encode(params, {0.0f}, nan, 1).encoded.status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(DecodeSum, NoWeightsGiveNoMean) {
  const Params params = SomeParams(2);
  std::vector<float> mean(2);
  EXPECT_EQ(Decode(params, RingSum(32, VectorLength(params)), mean).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// Nobody can look under a mask: what a dishonest device put there must not pass for a sum.
TEST(DecodeSum, MoreWeightThanClientsCanHaveGivesNoMean) {
  const Params params = SomeParams(2);
  RingSum sum(32, VectorLength(params));
  for (size_t i = 0; i < sum.bytes().size(); ++i) sum.bytes()[i] = i % 4 == 3 ? 0x7f : 0xff;
  std::vector<float> mean(2);
  EXPECT_EQ(Decode(params, std::move(sum), mean).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace muster::secagg
