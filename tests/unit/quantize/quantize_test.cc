#include "models/quantize/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/unit/quantize/networks.h"

namespace muster {
namespace {

using namespace testing_support;

constexpr size_t kExamples = 20;
// Uniform noise of half a step of 8 bits gives 40 to 50 dB per tensor; weights, activations and
// output add up. Below this a layer would be computed wrongly, not coarsely.
constexpr double kMinDecibels = 30;

struct LayerCase {
  std::string name;
  std::vector<uint32_t> shape;
  std::vector<Layer> layers;
};
void PrintTo(const LayerCase& layer_case, std::ostream* out) { *out << layer_case.name; }

class EachLayerKind : public testing::TestWithParam<LayerCase> {};

TEST_P(EachLayerKind, StaysCloseToTheFloatReference) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const Network network = MakeNetwork(GetParam().shape, GetParam().layers, seed);
    const auto examples = MakeExamples(network.architecture, kExamples, seed + 100);
    const auto expected = RunReference(network, examples, kExamples);
    const auto got = RunQuantized(network, examples, kExamples);
    ASSERT_EQ(got.size(), expected.size());
    EXPECT_GE(SignalToNoise(expected, got), kMinDecibels) << "seed=" << seed;
  }
}

const LayerCase kLayerCases[] = {
    {"Linear", {30}, {LinearLayer{30, 11, "", ""}}},
    {"LinearRelu", {30}, {LinearLayer{30, 40, "", ""}, ReluLayer{}, LinearLayer{40, 7, "", ""}}},
    {"FlattenTransposes", {3, 4, 5}, {FlattenLayer{}, LinearLayer{60, 10, "", ""}}},
    {"Conv1d",
     {9, 32},
     {Conv1dLayer{9, 16, 5, 1, 2, 1, "", ""}, ReluLayer{}, FlattenLayer{},
      LinearLayer{512, 6, "", ""}}},
    {"Conv1dStrided",
     {4, 33},
     {Conv1dLayer{4, 8, 3, 2, 0, 1, "", ""}, FlattenLayer{}, LinearLayer{128, 6, "", ""}}},
    {"Conv2d",
     {3, 12, 10},
     {Conv2dLayer{3, 8, 3, 5, 1, 1, 1, 2, 1, "", ""}, ReluLayer{}, FlattenLayer{},
      LinearLayer{960, 10, "", ""}}},
    {"Conv2dGroups",
     {6, 8, 8},
     {Conv2dLayer{6, 9, 3, 3, 2, 2, 1, 1, 3, "", ""}, FlattenLayer{},
      LinearLayer{144, 10, "", ""}}},
    {"Conv2dDepthwise",
     {8, 10, 10},
     {Conv2dLayer{8, 8, 3, 3, 1, 1, 1, 1, 8, "", ""}, ReluLayer{}, FlattenLayer{},
      LinearLayer{800, 10, "", ""}}},
    {"Conv2dDepthwiseMultiplier",
     {4, 9, 9},
     {Conv2dLayer{4, 12, 3, 3, 1, 1, 0, 0, 4, "", ""}, FlattenLayer{},
      LinearLayer{588, 10, "", ""}}},
    {"MaxPool2dBeforeRelu",
     {2, 12, 12},
     {Conv2dLayer{2, 8, 3, 3, 1, 1, 0, 0, 1, "", ""}, Pool2dLayer{PoolKind::kMax, 2, 2, 2, 2},
      ReluLayer{}, FlattenLayer{}, LinearLayer{200, 10, "", ""}}},
    {"MaxPool2dOverlapping",
     {3, 11, 11},
     {Pool2dLayer{PoolKind::kMax, 3, 2, 2, 1}, FlattenLayer{}, LinearLayer{150, 10, "", ""}}},
    {"MaxPool2dSubsampling",
     {3, 8, 8},
     {Pool2dLayer{PoolKind::kMax, 1, 1, 2, 2}, FlattenLayer{}, LinearLayer{48, 10, "", ""}}},
    {"AveragePool2d",
     {3, 9, 9},
     {Pool2dLayer{PoolKind::kAverage, 3, 3, 2, 2}, FlattenLayer{}, LinearLayer{48, 10, "", ""}}},
    {"AveragePoolThenRelu",
     {3, 8, 8},
     {Conv2dLayer{3, 6, 3, 3, 1, 1, 1, 1, 1, "", ""}, Pool2dLayer{PoolKind::kAverage, 2, 2, 2, 2},
      ReluLayer{}, FlattenLayer{}, LinearLayer{96, 10, "", ""}}},
    {"MaxPool1d",
     {5, 20},
     {Pool1dLayer{PoolKind::kMax, 4, 2}, FlattenLayer{}, LinearLayer{45, 10, "", ""}}},
    {"AveragePool1d",
     {5, 20},
     {Pool1dLayer{PoolKind::kAverage, 2, 2}, FlattenLayer{}, LinearLayer{50, 10, "", ""}}},
    {"GlobalAveragePool2d",
     {3, 10, 10},
     {Conv2dLayer{3, 20, 3, 3, 1, 1, 0, 0, 1, "", ""}, ReluLayer{}, GlobalAveragePoolLayer{},
      FlattenLayer{}, LinearLayer{20, 10, "", ""}}},
    {"GlobalAveragePool1d",
     {6, 24},
     {Conv1dLayer{6, 20, 3, 1, 0, 1, "", ""}, ReluLayer{}, GlobalAveragePoolLayer{}, FlattenLayer{},
      LinearLayer{20, 10, "", ""}}},
    {"ReluFirst", {12}, {ReluLayer{}, LinearLayer{12, 5, "", ""}, ReluLayer{}}},
};
INSTANTIATE_TEST_SUITE_P(Layers, EachLayerKind, testing::ValuesIn(kLayerCases),
                         [](const auto& info) { return info.param.name; });

// The error of one linear layer is bounded by arithmetic alone: half a step of each input times the
// weights, half a step of each weight times the inputs, their product, half a step of the bias, and
// one step of the output.
TEST(QuantizeModel, ALinearLayerStaysWithinItsAnalyticBound) {
  constexpr uint32_t kIn = 50, kOut = 13;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Network network = MakeNetwork({kIn}, {LinearLayer{kIn, kOut, "", ""}}, seed);
    const auto examples = MakeExamples(network.architecture, kExamples, seed);
    const auto expected = RunReference(network, examples, kExamples);
    const auto got = RunQuantized(network, examples, kExamples);
    ASSERT_EQ(got.size(), expected.size());
    const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
    const float out_step = 1.1f * (std::max(*high, 0.0f) - std::min(*low, 0.0f)) / 255;
    const float in_step = *std::max_element(examples.begin(), examples.end()) / 255;
    for (uint32_t c = 0; c < kOut; ++c) {
      const auto row = std::span(network.weights).subspan(size_t{c} * kIn, kIn);
      float peak = 0, sum = 0;
      for (float w : row) {
        peak = std::max(peak, std::abs(w));
        sum += std::abs(w);
      }
      const float weight_step = peak / 127;
      const float bound = sum * in_step / 2 + kIn * (1 + in_step / 2) * weight_step / 2 +
                          in_step * weight_step + out_step;
      for (size_t i = 0; i < kExamples; ++i) {
        ASSERT_NEAR(got[i * kOut + c], expected[i * kOut + c], bound) << "seed=" << seed;
      }
    }
  }
}

TEST(QuantizeModel, ZooModelsKeepTheirAnswersAtAQuarterOfTheSize) {
  for (const char* name : {"mlp", "lenet5", "mcmahan_cnn", "har_cnn1d", "logreg"}) {
    const Network network = MakeZooNetwork(name, 7);
    const auto examples = MakeExamples(network.architecture, kExamples, 8);
    const auto bytes = QuantizeModel(network.architecture, network.layout, network.weights,
                                     examples, kExamples, {});
    ASSERT_TRUE(bytes.ok()) << name << ": " << bytes.status();
    EXPECT_LE(static_cast<double>(bytes->size()),
              0.30 * static_cast<double>(network.weights.size() * sizeof(float)))
        << name;
    const auto expected = RunReference(network, examples, kExamples);
    EXPECT_GE(SignalToNoise(expected, RunQuantized(network, examples, kExamples)), kMinDecibels - 5)
        << name;
  }
}

TEST(QuantizeModel, IsDeterministic) {
  const Network network = MakeZooNetwork("lenet5", 7);
  const auto examples = MakeExamples(network.architecture, kExamples, 8);
  const auto quantize = [&] {
    return *QuantizeModel(network.architecture, network.layout, network.weights, examples,
                          kExamples, {});
  };
  EXPECT_EQ(quantize(), quantize());
}

TEST(QuantizeModel, PercentileCalibrationWithstandsAnOutlier) {
  const Network network = MakeZooNetwork("mlp", 7);
  constexpr size_t kMany = 100;
  auto examples = MakeExamples(network.architecture, kMany, 8);
  const auto clean = examples;
  examples[5] = 1000.0f;  // a broken sensor in one calibration example
  const auto run = [&](CalibrationMethod method) {
    const auto bytes = QuantizeModel(network.architecture, network.layout, network.weights,
                                     examples, kMany, {method, 99.9});
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    auto model = Int8Model::Open(WriteTemporary(*bytes));
    EXPECT_TRUE(model.ok()) << model.status();
    std::vector<float> outputs(kMany * 10);
    EXPECT_TRUE((*model)->Run(clean, kMany, outputs).ok());
    return SignalToNoise(RunReference(network, clean, kMany), outputs);
  };
  EXPECT_GT(run(CalibrationMethod::kPercentile), run(CalibrationMethod::kMinMax) + 6);
}

TEST(QuantizeModel, SurvivesChannelsOfZerosAndOfBiasOnly) {
  Network network = MakeNetwork({4}, {LinearLayer{4, 3, "", ""}}, 1);
  network.weights = {0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, /*bias*/ 0, 5, 0};
  const auto examples = MakeExamples(network.architecture, kExamples, 2);
  const auto got = RunQuantized(network, examples, kExamples);
  ASSERT_EQ(got.size(), kExamples * 3);
  for (size_t i = 0; i < kExamples; ++i) {
    EXPECT_EQ(got[i * 3], 0.0f);
    EXPECT_NEAR(got[i * 3 + 1], 5.0f, 0.05f);
  }
}

TEST(QuantizeModel, RefusesBadCalibration) {
  const Network network = MakeZooNetwork("logreg", 1);
  auto examples = MakeExamples(network.architecture, 2, 1);
  const auto code = [&](size_t n, QuantizeOptions options) {
    return QuantizeModel(network.architecture, network.layout, network.weights, examples, n,
                         options)
        .status()
        .code();
  };
  EXPECT_EQ(code(0, {}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(3, {}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(2, {CalibrationMethod::kPercentile, 30.0}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(2, {}), absl::StatusCode::kOk);
  examples[3] = std::nanf("");
  EXPECT_EQ(code(2, {}), absl::StatusCode::kInvalidArgument);
}

TEST(IsQuantizable, SaysNoToNetworksWithoutLayersOrBeyondTheRuntime) {
  EXPECT_TRUE(IsQuantizable(MakeZooNetwork("mlp", 1).architecture));
  EXPECT_FALSE(IsQuantizable(Architecture{"scripted", {1, 28, 28}, 10, {}}));
  EXPECT_FALSE(IsQuantizable(Architecture{"empty", {10}, 10, {FlattenLayer{}}}));
  Architecture wide{"wide", {70'000}, 2, {LinearLayer{70'000, 2, "0.weight", "0.bias"}}};
  EXPECT_FALSE(IsQuantizable(wide));
  EXPECT_NE(CheckQuantizable(wide).message().find("65536"), std::string::npos);
}

TEST(Int8Model, GivesTheSameForABatchOfAnySizeAndForEachExampleAlone) {
  const Network network = MakeZooNetwork("lenet5", 3);
  constexpr size_t kMany = 150;  // more than one pass
  const size_t size = 28 * 28;
  const auto examples = MakeExamples(network.architecture, kMany, 4);
  const auto bytes =
      QuantizeModel(network.architecture, network.layout, network.weights, examples, kMany, {});
  ASSERT_TRUE(bytes.ok());
  auto opened = Int8Model::Open(WriteTemporary(*bytes));
  ASSERT_TRUE(opened.ok()) << opened.status();
  Int8Model& model = **opened;
  EXPECT_EQ(model.file_bytes(), bytes->size());
  EXPECT_EQ(std::vector<uint32_t>(model.input_shape().begin(), model.input_shape().end()),
            (std::vector<uint32_t>{1, 28, 28}));
  std::vector<float> together(kMany * 10), alone(10);
  ASSERT_TRUE(model.Run(examples, kMany, together).ok());
  for (size_t i = 0; i < kMany; ++i) {
    ASSERT_TRUE(model.Run(std::span(examples).subspan(i * size, size), 1, alone).ok());
    ASSERT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + i * 10)) << i;
  }
  EXPECT_EQ(model.Run(examples, kMany - 1, together).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Int8Model, SaysWhichFileIsMissing) {
  const auto model = Int8Model::Open("/nonexistent/model.mq8");
  EXPECT_EQ(model.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(model.status().message().find("/nonexistent/model.mq8"), std::string::npos);
}

}  // namespace
}  // namespace muster
