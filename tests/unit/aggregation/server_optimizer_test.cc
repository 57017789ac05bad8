#include "aggregation/optimizer/server_optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "proto/core/random.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::HasSubstr;
using enum ServerOptimizerKind;

constexpr ServerOptimizerKind kAll[] = {kFedAvg, kFedAvgM, kFedAdagrad, kFedAdam, kFedYogi};

// One parameter through the papers' formulas, written as they are printed, in long double.
struct Reference {
  ServerOptimizerConfig config;
  long double x, m = 0, v;

  Reference(const ServerOptimizerConfig& c, float start)
      : config(c), x(start), v((long double)c.tau * c.tau) {}

  void Step(long double delta) {
    const long double eta = config.learning_rate, b1 = config.beta1, b2 = config.beta2;
    if (config.kind == kFedAvg) {
      x = x + eta * delta;
      return;
    }
    if (config.kind == kFedAvgM) {
      m = config.momentum * m + delta;
      x = x + eta * m;
      return;
    }
    m = b1 * m + (1 - b1) * delta;
    const long double square = delta * delta;
    const long double difference = v - square;
    const long double sign = difference > 0 ? 1 : difference < 0 ? -1 : 0;
    if (config.kind == kFedAdagrad) v = v + square;
    if (config.kind == kFedAdam) v = b2 * v + (1 - b2) * square;
    if (config.kind == kFedYogi) v = v - (1 - b2) * square * sign;
    x = x + eta * m / (std::sqrt(v) + config.tau);
  }
};

std::vector<float> RandomVector(size_t size, double scale, RandomSource& random) {
  std::vector<float> values(size);
  for (float& v : values) v = static_cast<float>((random.Unit() * 2 - 1) * scale);
  return values;
}

class EveryOptimizer : public testing::TestWithParam<ServerOptimizerKind> {
 protected:
  ServerOptimizerConfig config_ = DefaultServerOptimizer(GetParam());
};

TEST_P(EveryOptimizer, FollowsThePapersFormulasOverManySteps) {
  constexpr size_t kSize = 101;
  constexpr int kSteps = 30;
  SeededRandom random(5);
  config_.learning_rate = 0.3;
  config_.beta1 = 0.8;  // also where the default is none
  std::vector<float> weights = RandomVector(kSize, 1.0, random);
  std::vector<Reference> references;
  for (float w : weights) references.emplace_back(config_, w);
  OptimizerState state;
  for (int step = 1; step <= kSteps; ++step) {
    const std::vector<float> delta = RandomVector(kSize, 0.01, random);
    ASSERT_TRUE(ApplyServerOptimizer(config_, delta, weights, state).ok());
    EXPECT_EQ(state.step, static_cast<uint64_t>(step));
    for (size_t i = 0; i < kSize; ++i) {
      references[i].Step(delta[i]);
      // Each step rounds weights and state to float32.
      const double x = static_cast<double>(references[i].x);
      ASSERT_NEAR(weights[i], x, 3e-6 * step * std::max(1.0, std::abs(x)));
    }
  }
}

TEST_P(EveryOptimizer, SameInputsGiveTheSameBytes) {
  SeededRandom random(6);
  const std::vector<float> start = RandomVector(1003, 1.0, random);
  std::vector<std::vector<float>> deltas;
  for (int i = 0; i < 5; ++i) deltas.push_back(RandomVector(1003, 0.1, random));
  const auto run = [&](bool one_by_one) {
    std::vector<float> weights = start;
    OptimizerState state;
    std::vector<OptimizerState> states(one_by_one ? start.size() : 0);
    for (const auto& delta : deltas) {
      if (!one_by_one) {
        EXPECT_TRUE(ApplyServerOptimizer(config_, delta, weights, state).ok());
        continue;
      }
      // Scalar remainders of the vectorised loop must not differ from its body.
      for (size_t i = 0; i < start.size(); ++i) {
        EXPECT_TRUE(ApplyServerOptimizer(config_, std::span(delta).subspan(i, 1),
                                         std::span(weights).subspan(i, 1), states[i])
                        .ok());
      }
    }
    return weights;
  };
  const std::vector<float> expected = run(false);
  EXPECT_EQ(run(false), expected);
  EXPECT_EQ(run(true), expected);
  EXPECT_NE(expected, start);
}

TEST_P(EveryOptimizer, RefusesABadUpdateAndChangesNothing) {
  std::vector<float> weights = {1.0f, 2.0f, 3.0f};
  OptimizerState state;
  ASSERT_TRUE(
      ApplyServerOptimizer(config_, std::vector<float>{0.1f, 0.2f, 0.3f}, weights, state).ok());
  const std::vector<float> weights_before = weights;
  const OptimizerState state_before = state;
  const auto apply = [&](std::vector<float> delta) {
    return ApplyServerOptimizer(config_, delta, weights, state);
  };
  EXPECT_THAT(StdView(apply({0.1f, NAN, 0.3f}).message()), HasSubstr("index 1"));
  EXPECT_EQ(apply({0.1f, 0.2f, INFINITY}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(apply({0.1f, 0.2f}).code(), absl::StatusCode::kInvalidArgument);
  config_.learning_rate = 1e300;
  const absl::Status status = apply({0.0f, 0.2f, 0.3f});
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange) << status;
  EXPECT_THAT(StdView(status.message()), HasSubstr("learning_rate"));
  EXPECT_EQ(weights, weights_before);
  EXPECT_EQ(state, state_before);
}

TEST_P(EveryOptimizer, ARefusedFirstStepLeavesTheStateFresh) {
  config_.learning_rate = 1e300;
  std::vector<float> weights = {1.0f};
  OptimizerState state;
  EXPECT_FALSE(ApplyServerOptimizer(config_, std::vector<float>{1.0f}, weights, state).ok());
  EXPECT_EQ(state, OptimizerState());
  EXPECT_EQ(weights[0], 1.0f);
}

TEST_P(EveryOptimizer, RefusesAnotherOptimizersState) {
  for (ServerOptimizerKind other : kAll) {
    std::vector<float> weights = {1.0f, 2.0f};
    const std::vector<float> delta = {0.1f, 0.1f};
    OptimizerState state;
    ASSERT_TRUE(ApplyServerOptimizer(DefaultServerOptimizer(other), delta, weights, state).ok());
    const auto shape = [](ServerOptimizerKind kind) {
      return kind == kFedAvg ? 0 : kind == kFedAvgM ? 1 : 2;
    };
    const absl::Status status = ApplyServerOptimizer(config_, delta, weights, state);
    if (shape(other) == shape(GetParam())) {
      EXPECT_TRUE(status.ok());
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryOptimizer, testing::ValuesIn(kAll), [](const auto& info) {
  return std::string(ServerOptimizerName(info.param));
});

TEST(FedAvg, AtRateOneReplacesTheWeightsByTheMeanOfTheClients) {
  std::vector<float> weights = {1.0f, -2.0f};
  OptimizerState state;
  const auto config = DefaultServerOptimizer(kFedAvg);
  ASSERT_TRUE(ApplyServerOptimizer(config, std::vector<float>{0.5f, 1.0f}, weights, state).ok());
  EXPECT_EQ(weights, (std::vector<float>{1.5f, -1.0f}));
  EXPECT_TRUE(state.momentum.empty());
  EXPECT_TRUE(state.second_moment.empty());
}

TEST(FedAvgM, AccumulatesMomentumAcrossRounds) {
  std::vector<float> weights = {0.0f};
  OptimizerState state;
  const auto config = DefaultServerOptimizer(kFedAvgM);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(ApplyServerOptimizer(config, std::vector<float>{1.0f}, weights, state).ok());
  }
  EXPECT_FLOAT_EQ(state.momentum[0], 1.9f);
  EXPECT_FLOAT_EQ(weights[0], 2.9f);
}

TEST(Adaptive, SecondMomentStartsAtTauSquared) {
  for (ServerOptimizerKind kind : {kFedAdagrad, kFedYogi}) {
    auto config = DefaultServerOptimizer(kind);
    config.tau = 0.5;
    std::vector<float> weights = {1.0f};
    OptimizerState state;
    // A zero update moves nothing and leaves the start to be seen.
    ASSERT_TRUE(ApplyServerOptimizer(config, std::vector<float>{0.0f}, weights, state).ok());
    EXPECT_EQ(state.second_moment[0], 0.25f);
    EXPECT_EQ(weights[0], 1.0f);
  }
}

TEST(FedYogi, SecondMomentShrinksSlowlyAndGrowsLikeAdams) {
  auto config = DefaultServerOptimizer(kFedYogi);
  config.tau = 1.0;
  OptimizerState state;
  std::vector<float> weights = {0.0f, 0.0f};
  // v = 1: the squares 0.25 and 4 lie below and above it.
  ASSERT_TRUE(ApplyServerOptimizer(config, std::vector<float>{0.5f, 2.0f}, weights, state).ok());
  EXPECT_FLOAT_EQ(state.second_moment[0], 1.0f - 0.01f * 0.25f);
  EXPECT_FLOAT_EQ(state.second_moment[1], 1.0f + 0.01f * 4.0f);
}

}  // namespace
}  // namespace muster
