#include "proto/core/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

TEST(LearningRate, ConstantStaysThroughout) {
  EXPECT_EQ(LearningRateAt(0.1, {}, 1, 10), 0.1);
  EXPECT_EQ(LearningRateAt(0.1, {}, 10, 10), 0.1);
}

TEST(LearningRate, StepFallsByGammaEveryNRounds) {
  const LearningRateSchedule schedule{.kind = ScheduleKind::kStep, .gamma = 0.5, .every = 3};
  EXPECT_DOUBLE_EQ(LearningRateAt(0.8, schedule, 1, 10), 0.8);
  EXPECT_DOUBLE_EQ(LearningRateAt(0.8, schedule, 3, 10), 0.8);
  EXPECT_DOUBLE_EQ(LearningRateAt(0.8, schedule, 4, 10), 0.4);
  EXPECT_DOUBLE_EQ(LearningRateAt(0.8, schedule, 7, 10), 0.2);
}

TEST(LearningRate, CosineRunsFromTheRateToTheFloor) {
  const LearningRateSchedule schedule{.kind = ScheduleKind::kCosine, .floor = 0.1};
  EXPECT_DOUBLE_EQ(LearningRateAt(1.0, schedule, 1, 11), 1.0);
  EXPECT_DOUBLE_EQ(LearningRateAt(1.0, schedule, 6, 11), 0.55);
  EXPECT_DOUBLE_EQ(LearningRateAt(1.0, schedule, 11, 11), 0.1);
  EXPECT_DOUBLE_EQ(LearningRateAt(1.0, schedule, 99, 11), 0.1);
  EXPECT_DOUBLE_EQ(LearningRateAt(1.0, schedule, 1, 1), 1.0);
}

TEST(Loss, NamesRoundTripAndTyposGetASuggestion) {
  for (const char* name : {"cross_entropy", "nll", "mse", "bce_with_logits", "module"}) {
    EXPECT_EQ(LossName(ParseLoss(name).value()), name);
  }
  EXPECT_THAT(StdView(ParseLoss("cross_entrpy").status().message()),
              HasSubstr("did you mean 'cross_entropy'?"));
}

TEST(Function, HasAName) {
  EXPECT_EQ(FunctionName(FunctionKind::kTrain), "train");
  EXPECT_EQ(FunctionName(FunctionKind::kEvaluate), "evaluate");
  EXPECT_EQ(FunctionName(FunctionKind::kPersonalize), "personalize");
  EXPECT_EQ(FunctionName(FunctionKind::kInfer), "infer");
}

}  // namespace
}  // namespace muster
