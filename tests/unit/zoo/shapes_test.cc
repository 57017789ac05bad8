#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "models/zoo/zoo.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kHuge = std::numeric_limits<uint32_t>::max();

Architecture Network(std::vector<uint32_t> input, uint32_t outputs, std::vector<Layer> layers) {
  return {.name = "test",
          .input_shape = std::move(input),
          .outputs = outputs,
          .layers = std::move(layers)};
}

std::string Refusal(const Architecture& architecture) {
  auto status = InferShapes(architecture).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

TEST(InferShapes, FollowsPyTorchsRulesForStridePaddingAndGroups) {
  auto shapes =
      InferShapes(Network({4, 11, 9}, 8,
                          {Conv2dLayer{.in = 4,
                                       .out = 8,
                                       .kernel_h = 3,
                                       .kernel_w = 2,
                                       .stride_h = 2,
                                       .stride_w = 3,
                                       .padding_h = 1,
                                       .padding_w = 0,
                                       .groups = 2,
                                       .weight = "w"},
                           Pool2dLayer{.kernel_h = 2, .kernel_w = 2, .stride_h = 1, .stride_w = 2},
                           GlobalAveragePoolLayer{}, FlattenLayer{}}));
  ASSERT_TRUE(shapes.ok()) << shapes.status();
  EXPECT_THAT(*shapes, ElementsAre(ElementsAre(8, 6, 3), ElementsAre(8, 5, 1), ElementsAre(8, 1, 1),
                                   ElementsAre(8)));
}

TEST(InferShapes, NamesTheLayerThatDoesNotFit) {
  EXPECT_THAT(Refusal(Network({784}, 10, {LinearLayer{.in = 783, .out = 10, .weight = "w"}})),
              HasSubstr("layer 0 (linear): takes [783] but gets [784]"));
  EXPECT_THAT(Refusal(Network({1, 28, 28}, 10, {LinearLayer{.in = 784, .out = 10, .weight = "w"}})),
              HasSubstr("add a flatten layer before it"));
  EXPECT_THAT(
      Refusal(Network({3, 8}, 4,
                      {ReluLayer{}, Conv1dLayer{.in = 2, .out = 4, .kernel = 3, .weight = "w"}})),
      HasSubstr("layer 1 (conv1d): takes 2 channels but gets [3, 8]"));
  EXPECT_THAT(Refusal(Network({3, 8}, 4, {Pool1dLayer{.kernel = 9, .stride = 1}})),
              HasSubstr("layer 0 (pool1d)"));
}

TEST(InferShapes, RefusesSizesThatAreZeroOrBeyondTheLimits) {
  auto conv = [](uint32_t kernel, uint32_t stride, uint32_t padding, uint32_t groups) {
    return Network({2, 8}, 4,
                   {Conv1dLayer{.in = 2,
                                .out = 4,
                                .kernel = kernel,
                                .stride = stride,
                                .padding = padding,
                                .groups = groups,
                                .weight = "w"}});
  };
  EXPECT_THAT(Refusal(conv(0, 1, 0, 1)), HasSubstr("kernel of 0"));
  EXPECT_THAT(Refusal(conv(3, 0, 0, 1)), HasSubstr("stride of 0"));
  EXPECT_THAT(Refusal(conv(3, 1, kHuge, 1)), HasSubstr("padding"));
  EXPECT_THAT(Refusal(conv(kHuge, 1, kHuge, 1)), HasSubstr("kernel of"));
  EXPECT_THAT(Refusal(conv(3, 1, 0, 0)), HasSubstr("0 groups"));
  EXPECT_THAT(Refusal(conv(3, 1, 0, 3)), HasSubstr("3 groups"));
  EXPECT_THAT(Refusal(Network({kHuge, kHuge, kHuge}, 1, {FlattenLayer{}})), HasSubstr("input"));
  EXPECT_THAT(Refusal(Network({1, 1, 1, 1}, 1, {FlattenLayer{}})), HasSubstr("1 to 3 dimensions"));
  EXPECT_THAT(
      Refusal(Network({kMaxLayerWidth}, kMaxLayerWidth,
                      {LinearLayer{.in = kMaxLayerWidth, .out = kMaxLayerWidth, .weight = "w"}})),
      HasSubstr("parameters"));
}

TEST(InferShapes, RefusesNamelessAndRepeatedParameters) {
  EXPECT_THAT(Refusal(Network({2}, 2, {LinearLayer{.in = 2, .out = 2}})), HasSubstr("no name"));
  EXPECT_THAT(Refusal(Network({2}, 2,
                              {LinearLayer{.in = 2, .out = 2, .weight = "a", .bias = "b"},
                               LinearLayer{.in = 2, .out = 2, .weight = "c", .bias = "b"}})),
              HasSubstr("layer 1 (linear): its parameter \"b\" is named twice"));
}

TEST(InferShapes, RefusesANetworkThatDoesNotEndInItsOutputs) {
  EXPECT_THAT(Refusal(Network({2, 3}, 6, {ReluLayer{}})), HasSubstr("must end in [6]"));
  EXPECT_THAT(Refusal(Network({2}, 3, {ReluLayer{}})), HasSubstr("must end in [3]"));
  EXPECT_THAT(Refusal(Network({2}, 2, {})), HasSubstr("no layers"));
}

}  // namespace
}  // namespace muster
