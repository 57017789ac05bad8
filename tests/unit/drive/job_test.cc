#include <algorithm>
#include <utility>

#include "proto/core/status.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

using JobTest = SmallCoordinator;

TEST_F(JobTest, RunsRoundAfterRoundAndEndsWithASignedVersionForEach) {
  const std::vector<DeviceId> devices = {AddDevice("a"), AddDevice("b")};
  const JobSpec spec = Spec(2, 3);
  const JobId job = Submit(spec);
  for (int round = 0; round < 3; ++round) {
    for (const DeviceId& device : devices) {
      EXPECT_EQ(TrainOnce(device, spec), Verdict::kAccepted);
    }
    RunTasks();
  }
  EXPECT_EQ(PhaseName(Job(job).state), "succeeded");
  EXPECT_EQ(LatestVersion(Job(job).state), 3u);
  EXPECT_NE(Weights(3), Weights(2));
  EXPECT_DOUBLE_EQ(Round(job, 2).metrics.at("train_loss"), 0.5);
}

TEST_F(JobTest, TheOrderOfArrivalAndRestartsChangeNoByte) {
  std::vector<DeviceId> devices = {AddDevice("a"), AddDevice("b"), AddDevice("c"), AddDevice("d")};
  const JobSpec spec = Spec(4, 2);
  std::vector<Digest> finals;
  for (const bool restarts : {false, true, false}) {
    Submit(spec);
    for (int round = 0; round < 2; ++round) {
      for (const DeviceId& device : devices) {
        EXPECT_EQ(TrainOnce(device, spec), Verdict::kAccepted);
        if (restarts) RestartIntake();
      }
      RunTasks();
    }
    finals.push_back(Weights(static_cast<uint32_t>(finals.size() + 1) * 2));
    std::reverse(devices.begin(), devices.end());
  }
  EXPECT_EQ(finals[0], finals[1]);
  EXPECT_EQ(finals[0], finals[2]);
}

TEST_F(JobTest, OneLostDeviceDoesNotStopARound) {
  const DeviceId a = AddDevice("a"), b = AddDevice("b"), lost = AddDevice("lost");
  const JobSpec spec = Spec(3, 1, 2);
  const JobId job = Submit(spec);
  Arrive(lost);
  TrainOnce(a, spec);
  TrainOnce(b, spec);
  RunTasks();
  EXPECT_EQ(PhaseName(Round(job, 1).state), "collecting");
  clock_.Advance(std::chrono::minutes(1));
  RunTasks();
  EXPECT_EQ(PhaseName(Job(job).state), "succeeded");
}

TEST_F(JobTest, ARoundBelowItsQuorumIsTriedAgainAndThenFailsTheJob) {
  JobSpec spec = Spec(2, 1, 2);
  spec.round.max_attempts = 2;
  const JobId job = Submit(spec);
  clock_.Advance(std::chrono::minutes(1));
  RunTasks();
  EXPECT_EQ(PhaseName(Round(job, 1, 1).state), "abandoned");
  EXPECT_EQ(PhaseName(Round(job, 1, 2).state), "collecting");
  clock_.Advance(std::chrono::minutes(1));
  RunTasks();
  EXPECT_EQ(PhaseName(Job(job).state), "failed");
}

// Set back right after the task runner first looked at it.
class ClockThatIsSetBack final : public Clock {
 public:
  ClockThatIsSetBack(Timestamp first, Timestamp then) : now_(first), then_(then) {}
  Timestamp Now() override { return std::exchange(now_, then_); }

 private:
  Timestamp now_;
  const Timestamp then_;
};

TEST_F(JobTest, AClockThatIsSetBackWhileADeadlineIsInHandLosesNoTimer) {
  const JobId job = Submit(Spec(3, 1, 2));
  const Timestamp opened = clock_.Now();
  ClockThatIsSetBack clock(opened + std::chrono::minutes(2), opened);
  DriveContext set_back{*store_,  *blobs_, *staging_, clock,    random_,
                        *signer_, notary_, *rosters_, wakeups_, {}};
  TaskRunner tasks(set_back, *dispatcher_);
  ASSERT_EQ(tasks.RunDue().value(), 1u);
  EXPECT_EQ(PhaseName(Round(job, 1).state), "abandoned");
}

TEST_F(JobTest, ADeadlineThatWasPostponedByAClockFromThePastLosesNoTimer) {
  const JobId job = Submit(Spec(3, 1, 2));
  const Timestamp opened = clock_.Now();
  // A replica whose clock is ahead claims the timer, cannot commit, and tries again later, by a
  // clock that was set right meanwhile.
  ASSERT_TRUE(store_
                  ->Write([&](StoreTx& tx) -> absl::Status {
                    MUSTER_ASSIGN_OR_RETURN(
                        const auto claimed,
                        tx.ClaimTasks(opened + std::chrono::minutes(2),
                                      opened + std::chrono::minutes(3), /*limit=*/1));
                    if (claimed.size() != 1) return absl::InternalError("there is no timer");
                    return tx.PostponeTask(claimed[0].key, claimed[0].fence,
                                           opened + std::chrono::seconds(1));
                  })
                  .ok());
  clock_.Advance(std::chrono::seconds(2));
  RunTasks();
  EXPECT_EQ(PhaseName(Round(job, 1).state), "abandoned");
}

TEST_F(JobTest, ARepeatedCheckInGetsTheSameInvitation) {
  const DeviceId a = AddDevice("a");
  Submit(Spec(1));
  const auto first = Arrive(a), second = Arrive(a);
  ASSERT_EQ(first.invocations.size(), 1u);
  EXPECT_EQ(first.invocations, second.invocations);
  EXPECT_TRUE(second.in_round);
}

TEST_F(JobTest, InvitesNoMoreDevicesThanItWants) {
  JobSpec spec = Spec(2);
  spec.round.over_selection = 1.5;
  Submit(spec);
  int invited = 0;
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    invited += static_cast<int>(Arrive(AddDevice(name)).invocations.size());
  }
  EXPECT_EQ(invited, 3);
}

TEST_F(JobTest, TakesOnlyDevicesWhoseLabelsMatch) {
  JobSpec spec = Spec(2);
  spec.cohort = Selector::Parse("site=a").value();
  Submit(spec);
  EXPECT_EQ(Arrive(AddDevice("in", {{"site", "a"}})).invocations.size(), 1u);
  EXPECT_TRUE(Arrive(AddDevice("out", {{"site", "b"}})).invocations.empty());
}

TEST_F(JobTest, ADeviceThatIsNotReadyIsNotInvited) {
  const DeviceId a = AddDevice("a");
  Submit(Spec(1));
  CheckIn busy = Ready();
  busy.eligibility.charging = false;
  EXPECT_TRUE(dispatcher_->CheckIn(a, busy)->invocations.empty());
}

TEST_F(JobTest, TheSameIdempotencyKeyGivesTheSameJob) {
  const JobSpec spec = Spec(1);
  const auto first = SubmitJob(*context_, spec, "researcher/x", "researcher-x", "k1");
  const auto second = SubmitJob(*context_, spec, "researcher/x", "researcher-x", "k1");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->id, second->id);
  EXPECT_TRUE(second->already);
}

TEST_F(JobTest, ASubmissionWhoseBlobsAreMissingIsRefused) {
  JobSpec spec = Spec(1);
  spec.initial_weights = Sha256("nowhere");
  auto job = SubmitJob(*context_, spec, "researcher/x", "researcher-x", "");
  EXPECT_TRUE(absl::IsFailedPrecondition(job.status()));
}

TEST_F(JobTest, CancellingVoidsTheOpenInvitations) {
  const DeviceId a = AddDevice("a");
  const JobSpec spec = Spec(1);
  const JobId job = Submit(spec);
  const auto invocation = Arrive(a).invocations.at(0).id;
  ASSERT_TRUE(CancelJob(*context_, job, "operator/x").ok());
  EXPECT_TRUE(Arrive(a).invocations.empty());
  const auto late = Offer(a, invocation, Stage(a, std::vector<float>(spec.layout.shared_size())));
  EXPECT_EQ(late->verdict, Verdict::kRefused);
  EXPECT_TRUE(absl::IsFailedPrecondition(CancelJob(*context_, job, "operator/x").status()));
}

TEST_F(JobTest, TheLastEvaluationEndsTheJobAndIsKeptWithTheVersion) {
  const DeviceId a = AddDevice("a"), judge = AddDevice("judge", {{"role", "evaluator"}});
  JobSpec spec = Spec(1);
  spec.cohort = Selector::Parse("role!=evaluator").value();
  spec.evaluation.enabled = true;
  spec.evaluation.evaluator = Selector::Parse("role=evaluator").value();
  const JobId job = Submit(spec);
  Arrive(judge);
  TrainOnce(a, spec);
  RunTasks();
  EXPECT_EQ(PhaseName(Job(job).state), "finishing");
  const auto work = Arrive(judge).invocations;
  ASSERT_EQ(work.size(), 1u);
  EXPECT_EQ(work[0].function, FunctionKind::kEvaluate);
  const ResultOffer result{
      .invocation = work[0].id, .examples = 9, .metrics = {{"accuracy", 0.75}}};
  EXPECT_EQ(AcceptResult(*context_, judge, result)->verdict, Verdict::kAccepted);
  EXPECT_EQ(AcceptResult(*context_, judge, result)->verdict, Verdict::kDuplicate);
  EXPECT_EQ(PhaseName(Job(job).state), "succeeded");
  EXPECT_DOUBLE_EQ(Round(job, 1).evaluation.at("accuracy"), 0.75);
}

TEST_F(JobTest, AnEvaluatorThatNeverComesDoesNotHoldTheJobForever) {
  const DeviceId a = AddDevice("a");
  JobSpec spec = Spec(1);
  spec.evaluation.enabled = true;
  spec.evaluation.evaluator = Selector::Parse("role=evaluator").value();
  spec.evaluation.deadline = std::chrono::seconds(30);
  const JobId job = Submit(spec);
  TrainOnce(a, spec);
  for (int i = 0; i < 40 && PhaseName(Job(job).state) != "succeeded"; ++i) {
    auto done = tasks_->RunDue();
    ASSERT_TRUE(done.ok());
    clock_.Advance(std::chrono::seconds(1));
  }
  EXPECT_EQ(PhaseName(Job(job).state), "succeeded");
}

TEST_F(JobTest, UsageIsCountedOnceForEachInvocation) {
  const DeviceId a = AddDevice("a");
  const JobSpec spec = Spec(1);
  const JobId job = Submit(spec);
  TrainOnce(a, spec);
  std::vector<UsageRecord> usage;
  ASSERT_TRUE(store_
                  ->Read([&](const StoreReader& reader) -> absl::Status {
                    usage = reader.ListUsage(job.value(), "").value();
                    return absl::OkStatus();
                  })
                  .ok());
  ASSERT_EQ(usage.size(), 1u);
  EXPECT_EQ(usage[0].invocations, 1u);
}

}  // namespace
}  // namespace muster
