#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/zoo/zoo.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

uint64_t ParameterCount(std::string_view model) {
  auto architecture = MakeZooArchitecture(model, {});
  EXPECT_TRUE(architecture.ok()) << architecture.status();
  auto layout = LayoutOf(*architecture);
  EXPECT_TRUE(layout.ok()) << layout.status();
  return layout->total_size();
}

TEST(ZooModels, HaveTheParametersThatTheirPapersState) {
  EXPECT_EQ(ParameterCount("mlp"), 199'210u);  // the 2NN of McMahan et al. 2017
  EXPECT_EQ(ParameterCount("lenet5"), 61'706u);
  EXPECT_EQ(ParameterCount("mcmahan_cnn"), 1'663'370u);  // as the paper counts them
  EXPECT_EQ(ParameterCount("har_cnn1d"), 143'302u);
  EXPECT_EQ(ParameterCount("logreg"), 7'850u);
}

TEST(ZooModels, EveryListedNameMakesANetworkThatEndsInItsOutputs) {
  ASSERT_EQ(ZooModelNames().size(), 5u);
  for (std::string_view name : ZooModelNames()) {
    auto architecture = MakeZooArchitecture(name, {});
    ASSERT_TRUE(architecture.ok()) << architecture.status();
    EXPECT_EQ(architecture->name, name);
    auto shapes = InferShapes(*architecture);
    ASSERT_TRUE(shapes.ok()) << shapes.status();
    EXPECT_EQ(shapes->size(), architecture->layers.size());
    EXPECT_THAT(shapes->back(), ElementsAre(architecture->outputs));
  }
}

TEST(ZooModels, MlpTakesWidthsAndFlatInputs) {
  auto architecture =
      MakeZooArchitecture("mlp", {.input_shape = {20}, .outputs = 3, .hidden = {8}});
  ASSERT_TRUE(architecture.ok()) << architecture.status();
  auto shapes = InferShapes(*architecture);
  ASSERT_TRUE(shapes.ok());
  EXPECT_THAT(*shapes, ElementsAre(ElementsAre(8), ElementsAre(8), ElementsAre(3)));
}

TEST(ZooModels, ParametersAreNamedAsInAPyTorchSequential) {
  auto architecture = MakeZooArchitecture("lenet5", {});
  ASSERT_TRUE(architecture.ok());
  auto layout = LayoutOf(*architecture);
  ASSERT_TRUE(layout.ok());
  std::vector<std::string> names;
  for (const LayoutEntry& entry : layout->entries()) names.push_back(entry.name);
  EXPECT_THAT(names, ElementsAre("0.weight", "0.bias", "3.weight", "3.bias", "7.weight", "7.bias",
                                 "9.weight", "9.bias", "11.weight", "11.bias"));
  EXPECT_THAT(layout->entries()[0].shape, ElementsAre(6, 1, 5, 5));
  EXPECT_THAT(layout->entries()[4].shape, ElementsAre(120, 400));
}

TEST(ZooModels, Lenet5GivesTheSameFeaturesFor28And32PixelImages) {
  for (uint32_t side : {28u, 32u}) {
    auto architecture = MakeZooArchitecture("lenet5", {.input_shape = {1, side, side}});
    ASSERT_TRUE(architecture.ok()) << architecture.status();
    auto shapes = InferShapes(*architecture);
    ASSERT_TRUE(shapes.ok());
    EXPECT_THAT((*shapes)[6], ElementsAre(400));
  }
}

TEST(ZooModels, HeadIsTheLastLayerWithParameters) {
  auto architecture = MakeZooArchitecture("mcmahan_cnn", {});
  ASSERT_TRUE(architecture.ok());
  EXPECT_THAT(HeadParameters(*architecture), ElementsAre("9.weight", "9.bias"));
  EXPECT_TRUE(HeadParameters(Architecture{}).empty());
}

TEST(ZooModels, UnknownNameListsTheModelsThereAre) {
  auto status = MakeZooArchitecture("lenet", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("mlp, lenet5, mcmahan_cnn"));
}

TEST(ZooModels, OptionsThatAModelCannotHaveAreRefused) {
  auto message = [](std::string_view model, const ZooOptions& options) {
    auto status = MakeZooArchitecture(model, options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(message("lenet5", {.hidden = {5}}), HasSubstr("fixed hidden layers"));
  EXPECT_THAT(message("mlp", {.hidden = {0}}), HasSubstr("a layer of 0 units"));
  EXPECT_THAT(message("har_cnn1d", {.input_shape = {1, 28, 28}}), HasSubstr("like [9, 128]"));
  EXPECT_THAT(message("lenet5", {.input_shape = {1, 6, 6}}), HasSubstr("layer 3 (conv2d)"));
  EXPECT_THAT(message("logreg", {.input_shape = {0}}), HasSubstr("empty dimension"));
  EXPECT_THAT(message("mlp", {.outputs = kMaxLayerWidth + 1}), HasSubstr("`outputs`"));
}

}  // namespace
}  // namespace muster
