// Store records as operators see them.
#include "coordinator/rpc/views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/drive/budget.h"
#include "models/zoo/zoo.h"

namespace muster {
namespace {

using testing::HasSubstr;

JobRecord SomeJob() {
  JobRecord job;
  job.id = JobId::Trusted("j-1");
  job.spec.name = ModelName::Trusted("m");
  job.spec.architecture = MakeZooArchitecture("logreg", {.input_shape = {4}, .outputs = 2}).value();
  job.spec.layout = LayoutOf(job.spec.architecture).value();
  job.spec.round.quorum = 9;
  job.spec.aggregation.clip = 2.5;
  return job;
}

TEST(ViewJob, SaysWhatTheCoordinatorSeesAndUnderWhichAssumptions) {
  const v1::Job view = ViewJob(SomeJob(), {});
  EXPECT_THAT(view.aggregation(), HasSubstr("secure (semi-honest): the coordinator sees the sum of "
                                            "at least 9 updates, never one update"));
  EXPECT_EQ(view.secure_aggregation().mode(), v1::AGGREGATION_MODE_SEMI_HONEST);
  EXPECT_EQ(view.secure_aggregation().drop(), 0.1);
  EXPECT_EQ(view.secure_aggregation().corrupt(), 0.1);
  EXPECT_EQ(view.secure_aggregation().clip(), 2.5);
  EXPECT_FALSE(view.has_privacy());
}

TEST(ViewJob, SaysWhenTheCoordinatorSeesEveryUpdate) {
  JobRecord job = SomeJob();
  job.spec.aggregation.mode = AggregationMode::kClear;
  const v1::Job view = ViewJob(job, {});
  EXPECT_EQ(view.aggregation(), "off: the coordinator sees every update");
  EXPECT_EQ(view.secure_aggregation().mode(), v1::AGGREGATION_MODE_CLEAR);
}

TEST(ViewJob, TellsTheBudgetOfDifferentialPrivacyAndTheClipThatHolds) {
  JobRecord job = SomeJob();
  job.spec.privacy = {.kind = PrivacyKind::kCentral,
                      .noise_multiplier = 0.8,
                      .delta = 1e-6,
                      .epsilon_budget = 4,
                      .adaptive_clip = true};
  v1::Job view = ViewJob(job, {});
  ASSERT_TRUE(view.has_privacy());
  EXPECT_EQ(view.privacy().kind(), v1::PRIVACY_KIND_CENTRAL);
  EXPECT_EQ(view.privacy().epsilon(), 0);
  EXPECT_EQ(view.privacy().delta(), 1e-6);
  EXPECT_EQ(view.privacy().epsilon_budget(), 4);
  EXPECT_EQ(view.privacy().noise_multiplier(), 0.8);
  EXPECT_EQ(view.privacy().clip(), 2.5);
  job.clip = 1.75;  // moved
  EXPECT_EQ(ViewJob(job, {}).privacy().clip(), 1.75);
  job.releases = 3;
  EXPECT_EQ(ViewJob(job, {}).privacy().epsilon(), EpsilonAfter(job.spec, 3));
  EXPECT_GT(ViewJob(job, {}).privacy().epsilon(), 1);
  EXPECT_FALSE(ViewJob(SomeJob(), {}).has_privacy());
}

TEST(ViewRound, TellsWhoAnsweredInAnExchange) {
  RoundRecord round;
  round.id = {JobId::Trusted("j-1"), 3, 1};
  const auto phase_of = [&](const RoundState& state) {
    round.state = state;
    const v1::RoundSummary view = ViewRound(round);
    EXPECT_EQ(view.invited(), 12u);
    EXPECT_EQ(view.reported(), 10u);
    EXPECT_EQ(view.failed(), 1u);
    EXPECT_EQ(view.answered(), 7u);
    EXPECT_EQ(view.opened_unix_us(), 5);
    return view.phase();
  };
  const auto open = [](auto state) {
    state.opened = {5};
    state.invited = 12;
    state.reported = 10;
    state.failed = 1;
    state.answered = 7;
    return state;
  };
  EXPECT_EQ(phase_of(open(Sharing())), v1::ROUND_PHASE_SHARING);
  EXPECT_EQ(phase_of(open(Masking())), v1::ROUND_PHASE_MASKING);
  EXPECT_EQ(phase_of(open(Agreeing())), v1::ROUND_PHASE_AGREEING);
  EXPECT_EQ(phase_of(open(Unmasking())), v1::ROUND_PHASE_UNMASKING);
}

}  // namespace
}  // namespace muster
