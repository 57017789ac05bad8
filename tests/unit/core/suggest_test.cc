#include "proto/core/suggest.h"

#include <gtest/gtest.h>

#include <array>

namespace muster {
namespace {

constexpr std::array<std::string_view, 5> kKeys = {"rounds", "learning_rate", "batch_size", "seed",
                                                   "epochs"};

TEST(Nearest, FindsTyposSwapsAndMissingLetters) {
  EXPECT_EQ(Nearest("round", kKeys), "rounds");
  EXPECT_EQ(Nearest("learnign_rate", kKeys), "learning_rate");
  EXPECT_EQ(Nearest("learning-rate", kKeys), "learning_rate");
  EXPECT_EQ(Nearest("batchsize", kKeys), "batch_size");
  EXPECT_EQ(Nearest("sede", kKeys), "seed");
}

TEST(Nearest, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(Nearest("optimizer", kKeys), "");
  EXPECT_EQ(Nearest("", kKeys), "");
  EXPECT_EQ(Nearest("x", std::array<std::string_view, 1>{"y"}), "");
  EXPECT_EQ(Nearest("x", {}), "");
}

TEST(Nearest, PrefersTheNearer) {
  constexpr std::array<std::string_view, 2> kNames = {"conv2.weight", "conv1.weight"};
  EXPECT_EQ(Nearest("conv1.wieght", kNames), "conv1.weight");
}

TEST(Nearest, DoesNotSpendTimeOnHugeInput) {
  EXPECT_EQ(Nearest(std::string(10'000'000, 'r'), kKeys), "");
}

TEST(DidYouMean, IsAClauseForAMessageOrEmpty) {
  EXPECT_EQ(DidYouMean("round", kKeys), " (did you mean 'rounds'?)");
  EXPECT_EQ(DidYouMean("optimizer", kKeys), "");
}

}  // namespace
}  // namespace muster
