// A store that went back in time: nothing that a device met before is met again.
#include "coordinator/upkeep/timeline.h"

#include <gmock/gmock.h>

#include "coordinator/drive/audit.h"
#include "coordinator/drive/fleet.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

using std::chrono::hours;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TimelineTest : public SmallCoordinator {
 protected:
  NewTimeline Begin() {
    auto timeline = BeginNewTimeline(*store_, random_, context_->options, clock_.Now(), "backup");
    EXPECT_TRUE(timeline.ok()) << timeline.status();
    return timeline.value_or(NewTimeline{});
  }
  std::vector<InvocationRecord> OpenInvocations(const DeviceId& device) {
    std::vector<InvocationRecord> open;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      open = reader.ListOpenInvocations(device).value();
                      return absl::OkStatus();
                    })
                    .ok());
    return open;
  }
};

TEST_F(TimelineTest, AJobGoesOnFromItsNewestVersionUnderAnotherName) {
  const DeviceId a = AddDevice("a"), b = AddDevice("b");
  const JobSpec spec = Spec(2, /*rounds=*/3);
  const JobId before = Submit(spec);
  for (const DeviceId& device : {a, b}) EXPECT_EQ(TrainOnce(device, spec), Verdict::kAccepted);
  RunTasks();
  // Round 2 is open, with an invocation that `a` holds, and an update in its sum.
  const auto held = Arrive(a).invocations;
  ASSERT_THAT(held, SizeIs(1));
  EXPECT_EQ(TrainOnce(b, spec), Verdict::kAccepted);
  const Digest version = Weights(1);

  const NewTimeline timeline = Begin();
  ASSERT_THAT(timeline.jobs, SizeIs(1));
  EXPECT_EQ(timeline.jobs[0].before, before);
  const JobId now = timeline.jobs[0].now;
  EXPECT_NE(now, before);
  EXPECT_TRUE(std::holds_alternative<JobCancelled>(Job(before).state));
  EXPECT_TRUE(std::holds_alternative<Abandoned>(Round(before, 2).state));
  EXPECT_EQ(Job(now).state, JobState(JobRunning{2, 1, 1}));
  EXPECT_EQ(Job(now).rounds_committed, 1u);
  EXPECT_EQ(Round(now, 2).base_weights, version);

  // What `a` still holds of the old round is refused, also after a restart of the intake.
  RestartCoordinator();
  const auto late = Offer(a, held[0].id, Stage(a, std::vector<float>(spec.layout.shared_size())));
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_EQ(late->verdict, Verdict::kRefused);
  const auto fresh = Arrive(a).invocations;
  ASSERT_THAT(fresh, SizeIs(1));
  EXPECT_NE(fresh[0].id, held[0].id);
  EXPECT_EQ(fresh[0].job, now);

  // And the job comes to its end.
  for (int round = 2; round <= 3; ++round) {
    for (const DeviceId& device : {a, b}) EXPECT_EQ(TrainOnce(device, spec), Verdict::kAccepted);
    RunTasks();
  }
  EXPECT_TRUE(std::holds_alternative<JobSucceeded>(Job(now).state));
}

TEST_F(TimelineTest, TheOldRoundsSumAndMessagesAreGone) {
  const DeviceId a = AddDevice("a"), b = AddDevice("b");
  const JobSpec spec = Spec(2);
  const JobId before = Submit(spec);
  EXPECT_EQ(TrainOnce(a, spec), Verdict::kAccepted);
  Begin();
  EXPECT_TRUE(store_
                  ->Read([&](const StoreReader& reader) -> absl::Status {
                    EXPECT_THAT(reader.ListPartialSums({before, 1, 1}).value(), IsEmpty());
                    EXPECT_FALSE(
                        reader.FindTask("round-deadline/" + RoundId{before, 1, 1}.ToString()).ok());
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_THAT(OpenInvocations(b), IsEmpty());
}

TEST_F(TimelineTest, TheIdempotencyKeyStaysWithWhoDoesTheWork) {
  const JobSpec spec = Spec(2);
  const auto first = SubmitJob(*context_, spec, "researcher/x", "researcher-x", "key");
  ASSERT_TRUE(first.ok()) << first.status();
  const NewTimeline timeline = Begin();
  ASSERT_THAT(timeline.jobs, SizeIs(1));
  const auto again = SubmitJob(*context_, spec, "researcher/x", "researcher-x", "key");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->already);
  EXPECT_EQ(again->id, timeline.jobs[0].now);
}

TEST_F(TimelineTest, TheGenerationJumpsPastAllThatDevicesMayHaveSeen) {
  Begin();
  EXPECT_TRUE(store_
                  ->Read([&](const StoreReader& reader) -> absl::Status {
                    EXPECT_GE(reader.CurrentGeneration().value(), kGenerationJump);
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(TimelineTest, OpenTokensAreRevokedAndTheLogSaysSo) {
  const auto open = CreateToken(*context_, 2, hours(1), {}, "operator/test").value();
  const auto brief = CreateToken(*context_, 2, hours(1), {}, "operator/test").value();
  clock_.Advance(std::chrono::minutes(30));
  ASSERT_TRUE(RevokeToken(*context_, brief.record.id, "operator/test").ok());
  EXPECT_EQ(Begin().revoked_tokens, 1u);
  EXPECT_TRUE(store_
                  ->Read([&](const StoreReader& reader) -> absl::Status {
                    EXPECT_TRUE(reader.FindToken(open.record.id)->revoked);
                    const auto rows = reader.ListAudit({.action = audit::kRestore}, {}).value();
                    EXPECT_THAT(rows, SizeIs(1));
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(TimelineTest, AStoreAtRestStaysAsItIs) {
  const NewTimeline timeline = Begin();
  EXPECT_THAT(timeline.jobs, IsEmpty());
  EXPECT_EQ(timeline.revoked_tokens, 0u);
}

}  // namespace
}  // namespace muster
