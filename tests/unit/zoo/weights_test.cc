#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "models/zoo/zoo.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

struct Model {
  Architecture architecture;
  ParameterLayout layout;
};

Model Make(std::string_view name, const ZooOptions& options = {}) {
  auto architecture = MakeZooArchitecture(name, options);
  EXPECT_TRUE(architecture.ok()) << architecture.status();
  auto layout = LayoutOf(*architecture);
  EXPECT_TRUE(layout.ok()) << layout.status();
  return {*architecture, *layout};
}

std::span<const float> Piece(const std::vector<float>& weights, const ParameterLayout& layout,
                             std::string_view name) {
  for (const LayoutEntry& entry : layout.entries()) {
    if (entry.name == name) return std::span(weights).subspan(entry.offset, entry.size());
  }
  ADD_FAILURE() << "no entry " << name;
  return {};
}

TEST(InitialWeights, FillPyTorchsRangeForEachFanIn) {
  const Model model = Make("mcmahan_cnn");
  auto weights = InitialWeights(model.architecture, model.layout, 1);
  ASSERT_TRUE(weights.ok()) << weights.status();
  struct Expectation {
    const char* name;
    double fan_in;
  };
  for (auto [name, fan_in] : {Expectation{"0.weight", 25},
                              {"0.bias", 25},
                              {"3.weight", 800},
                              {"7.weight", 3136},
                              {"9.bias", 512}}) {
    const auto piece = Piece(*weights, model.layout, name);
    const double bound = 1.0 / std::sqrt(fan_in);
    const auto [low, high] = std::minmax_element(piece.begin(), piece.end());
    EXPECT_GE(*low, -bound * 1.000001) << name;
    EXPECT_LE(*high, bound * 1.000001) << name;
    EXPECT_GT(*high - *low, bound) << name << " does not spread over its range";
  }
  // A uniform variable on [-b, b] has mean 0 and variance b^2 / 3.
  const auto big = Piece(*weights, model.layout, "7.weight");
  double sum = 0, squares = 0;
  for (float w : big) sum += w, squares += double{w} * w;
  const double n = static_cast<double>(big.size());
  EXPECT_NEAR(sum / n, 0.0, 1e-4);
  EXPECT_NEAR(squares / n * 3.0 * 3136.0, 1.0, 0.01);
}

TEST(InitialWeights, DependOnTheSeedAlone) {
  const Model model = Make("logreg");
  auto a = InitialWeights(model.architecture, model.layout, 7);
  auto b = InitialWeights(model.architecture, model.layout, 7);
  auto c = InitialWeights(model.architecture, model.layout, 8);
  ASSERT_TRUE(a.ok() && b.ok() && c.ok());
  EXPECT_EQ(*a, *b);
  EXPECT_NE(*a, *c);
}

TEST(InitialWeights, OfAnEntryDoNotChangeWhenLaterLayersDo) {
  const Model small = Make("mlp", {.hidden = {32}});
  const Model large = Make("mlp", {.hidden = {32, 16}});
  auto a = InitialWeights(small.architecture, small.layout, 3);
  auto b = InitialWeights(large.architecture, large.layout, 3);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_TRUE(
      std::ranges::equal(Piece(*a, small.layout, "1.weight"), Piece(*b, large.layout, "1.weight")));
}

TEST(InitialWeights, AcceptALayoutWithGroupsAndRefuseAnotherNetworks) {
  const Model mlp = Make("mlp");
  auto grouped = AssignGroups(mlp.layout, {.personal = {"5.*"}});
  ASSERT_TRUE(grouped.ok()) << grouped.status();
  EXPECT_TRUE(InitialWeights(mlp.architecture, *grouped, 1).ok());

  const Model other = Make("mlp", {.outputs = 11});
  auto status = InitialWeights(mlp.architecture, other.layout, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"5.weight\" [11, 200]"));
}

}  // namespace
}  // namespace muster
