#include "models/quantize/reference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/quantize/gemm.h"
#include "proto/core/random.h"
#include "tests/unit/quantize/networks.h"

namespace muster {
namespace {

using namespace testing_support;

TEST(AddProduct, EqualsTheDefinitionForEveryEdge) {
  SeededRandom random(3);
  for (size_t m : {1, 3, 4, 9}) {
    for (size_t n : {1, 15, 16, 17, 40}) {
      for (size_t k : {1, 7, 300}) {
        std::vector<float> a(m * k), b(k * n), c(m * n, 0.5f);
        for (float& v : a) v = static_cast<float>(random.Unit() - 0.5);
        for (float& v : b) v = static_cast<float>(random.Unit() - 0.5);
        AddProduct(m, n, k, a.data(), b.data(), c.data());
        for (size_t i = 0; i < m; ++i) {
          for (size_t j = 0; j < n; ++j) {
            double expected = 0.5;
            for (size_t p = 0; p < k; ++p) expected += double{a[i * k + p]} * b[p * n + j];
            ASSERT_NEAR(c[i * n + j], expected, 1e-4) << m << "x" << n << "x" << k;
          }
        }
      }
    }
  }
}

// Weights that can be followed by hand.
Network HandMade(std::vector<uint32_t> shape, std::vector<Layer> layers,
                 std::vector<float> weights) {
  Network network = MakeNetwork(std::move(shape), std::move(layers), 1);
  EXPECT_EQ(network.weights.size(), weights.size());
  network.weights = std::move(weights);
  return network;
}

TEST(Reference, ConvolutionPadsStridesAndAddsBias) {
  // One 1x1x3 input; kernel [1, 2, 3] over 0 4 5 6 0 in steps of 2; then the two results as they
  // are.
  const Network network = HandMade(
      {1, 3}, {Conv1dLayer{1, 1, 3, 2, 1, 1, "", ""}, FlattenLayer{}, LinearLayer{2, 2, "", ""}},
      {1, 2, 3, 10, 1, 0, 0, 1, 0, 0});
  const std::vector<float> input = {4, 5, 6};
  EXPECT_EQ(RunReference(network, input, 1), (std::vector<float>{33, 27}));
}

TEST(Reference, DepthwiseConvolutionKeepsChannelsApart) {
  const Network network = HandMade(
      {2, 1, 2},
      {Conv2dLayer{2, 2, 1, 2, 1, 1, 0, 0, 2, "", ""}, FlattenLayer{}, LinearLayer{2, 2, "", ""}},
      {1, 10, 100, 1000, 0, 0, 1, 0, 0, 1, 0, 0});
  const std::vector<float> input = {1, 2, 3, 4};
  EXPECT_EQ(RunReference(network, input, 1), (std::vector<float>{21, 4300}));
}

TEST(Reference, PoolsDropWhatDoesNotFillAWindow) {
  const std::vector<float> input = {1, 5, 2, 8, 100};
  for (const auto& [kind, expected] : {std::pair{PoolKind::kMax, std::vector<float>{5, 8}},
                                       std::pair{PoolKind::kAverage, std::vector<float>{3, 5}}}) {
    const Network network =
        HandMade({1, 5}, {Pool1dLayer{kind, 2, 2}, FlattenLayer{}, LinearLayer{2, 2, "", ""}},
                 {1, 0, 0, 1, 0, 0});
    EXPECT_EQ(RunReference(network, input, 1), expected);
  }
}

TEST(Reference, FlattenIsChannelsOutermost) {
  const Network network =
      HandMade({2, 1, 2}, {FlattenLayer{}, LinearLayer{4, 1, "", ""}}, {1, 10, 100, 1000, 0});
  const std::vector<float> input = {1, 2, 3, 4};
  EXPECT_EQ(RunReference(network, input, 1), (std::vector<float>{4321}));
}

TEST(Reference, ABatchGivesWhatItsExamplesGiveAlone) {
  const Network network = MakeZooNetwork("lenet5", 5);
  const size_t n = 19, size = 28 * 28;
  const auto examples = MakeExamples(network.architecture, n, 6);
  const auto together = RunReference(network, examples, n);
  for (size_t i = 0; i < n; ++i) {
    const auto alone = RunReference(network, std::span(examples).subspan(i * size, size), 1);
    for (size_t c = 0; c < alone.size(); ++c) {
      ASSERT_NEAR(alone[c], together[i * alone.size() + c], 1e-4);
    }
  }
}

TEST(Reference, RefusesWeightsThatDoNotFitTheNetwork) {
  Network network = MakeZooNetwork("logreg", 5);
  network.weights.pop_back();
  EXPECT_EQ(ReferenceExecutor::Create(network.architecture, network.layout, network.weights)
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  network.weights.push_back(std::nanf(""));
  EXPECT_EQ(ReferenceExecutor::Create(network.architecture, network.layout, network.weights)
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace muster
