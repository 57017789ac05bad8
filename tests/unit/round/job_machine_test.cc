#include "coordinator/round/job_machine.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

constexpr Timestamp kNow{5'000'000};

JobSpec Spec(bool evaluates = false, uint32_t every = 1) {
  JobSpec spec;
  spec.rounds = 3;
  spec.aggregation.mode = AggregationMode::kClear;
  spec.round.max_attempts = 2;
  spec.evaluation.enabled = evaluates;
  spec.evaluation.every = every;
  return spec;
}

JobTransition Expect(const JobSpec& spec, const JobState& state, const JobEvent& event) {
  JobOutcome outcome = Step(spec, state, event, kNow);
  EXPECT_TRUE(std::holds_alternative<JobTransition>(outcome)) << std::get<Ignored>(outcome).why;
  return std::get<JobTransition>(outcome);
}

void ExpectIgnored(const JobSpec& spec, const JobState& state, const JobEvent& event) {
  EXPECT_TRUE(std::holds_alternative<Ignored>(Step(spec, state, event, kNow)));
}

TEST(RunningJob, OpensTheNextRoundOnTheVersionThatTheLastOneMade) {
  const auto next = Expect(Spec(), JobRunning{1, 1, 0}, RoundWasCommitted{1, 1, 4});
  EXPECT_EQ(std::get<JobRunning>(next.next), (JobRunning{2, 1, 4}));
  const auto& open = std::get<OpenNextRound>(next.effects.at(0));
  EXPECT_EQ(open.round, 2u);
  EXPECT_EQ(open.base_version, 4u);
}

TEST(RunningJob, SucceedsAfterItsLastRoundWhenNothingIsEvaluated) {
  const auto done = Expect(Spec(), JobRunning{3, 1, 2}, RoundWasCommitted{3, 1, 3});
  EXPECT_EQ(std::get<JobSucceeded>(done.next), (JobSucceeded{3, kNow}));
  EXPECT_TRUE(done.effects.empty());
}

TEST(RunningJob, AsksForAnEvaluationAndGoesOnWithoutWaitingForIt) {
  const auto next = Expect(Spec(true), JobRunning{1, 1, 0}, RoundWasCommitted{1, 1, 1});
  ASSERT_EQ(next.effects.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<RequestEvaluation>(next.effects[0]));
  EXPECT_TRUE(std::holds_alternative<OpenNextRound>(next.effects[1]));
  ExpectIgnored(Spec(true), next.next, EvaluationEnded{1});
}

TEST(RunningJob, EvaluatesEveryNthRoundAndAlwaysTheLast) {
  const JobSpec spec = Spec(true, 2);
  EXPECT_FALSE(EvaluatesRound(spec, 1));
  EXPECT_TRUE(EvaluatesRound(spec, 2));
  EXPECT_TRUE(EvaluatesRound(spec, 3));
}

TEST(FinishingJob, WaitsForTheEvaluationOfItsLastVersionOnly) {
  const auto finishing = Expect(Spec(true), JobRunning{3, 1, 2}, RoundWasCommitted{3, 1, 3});
  ASSERT_TRUE(std::holds_alternative<JobFinishing>(finishing.next));
  ExpectIgnored(Spec(true), finishing.next, EvaluationEnded{2});
  const auto done = Expect(Spec(true), finishing.next, EvaluationEnded{3});
  EXPECT_TRUE(std::holds_alternative<JobSucceeded>(done.next));
}

TEST(AbandonedRound, IsTriedAgainAndThenFailsTheJobWithTheReason) {
  const auto again = Expect(Spec(), JobRunning{2, 1, 1}, RoundWasAbandoned{2, 1, "too few"});
  EXPECT_EQ(std::get<JobRunning>(again.next), (JobRunning{2, 2, 1}));
  EXPECT_EQ(std::get<OpenNextRound>(again.effects.at(0)).attempt, 2u);
  const auto failed = Expect(Spec(), again.next, RoundWasAbandoned{2, 2, "too few"});
  const auto& state = std::get<JobFailed>(failed.next);
  EXPECT_EQ(state.version, 1u);
  EXPECT_NE(state.reason.find("too few"), std::string::npos);
  EXPECT_NE(state.reason.find("muster fleet ls"), std::string::npos);
}

TEST(StaleRoundEvents, ChangeNothing) {
  ExpectIgnored(Spec(), JobRunning{2, 1, 1}, RoundWasCommitted{1, 1, 1});
  ExpectIgnored(Spec(), JobRunning{2, 2, 1}, RoundWasAbandoned{2, 1, "x"});
  ExpectIgnored(Spec(), JobSucceeded{}, RoundWasCommitted{3, 1, 3});
}

TEST(Cancelling, EndsTheOpenRoundToo) {
  const auto cancelled = Expect(Spec(), JobRunning{2, 1, 1}, CancelRequested{"operator/ada"});
  EXPECT_EQ(std::get<JobCancelled>(cancelled.next).by, "operator/ada");
  EXPECT_EQ(std::get<CancelOpenRound>(cancelled.effects.at(0)).round, 2u);
  ExpectIgnored(Spec(), cancelled.next, CancelRequested{"operator/ada"});
}

}  // namespace
}  // namespace muster
