#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Tasks : public StoreContract {
 protected:
  static TaskRecord TaskAt(const std::string& key, int64_t second) {
    return {.key = key,
            .kind = TaskKind::kRoundDeadline,
            .round = {JobId::Trusted("j"), 3, 2},
            .model_version = 7,
            .due = At(second)};
  }
  void Add(const TaskRecord& task) {
    ASSERT_OK(Write([&](StoreTx& tx) { return tx.AddTask(task); }));
  }
  std::vector<TaskRecord> Claim(int64_t now, int64_t until, size_t limit = 10) {
    std::vector<TaskRecord> claimed;
    const absl::Status status = Write([&](StoreTx& tx) -> absl::Status {
      MUSTER_ASSIGN_OR_RETURN(claimed, tx.ClaimTasks(At(now), At(until), limit));
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return claimed;
  }
  absl::Status Complete(const TaskRecord& task) {
    return Write([&](StoreTx& tx) { return tx.CompleteTask(task.key, task.fence); });
  }
  absl::StatusOr<TaskRecord> Find(const std::string& key) {
    return Read([&](const StoreReader& r) { return r.FindTask(key); });
  }
  std::optional<Timestamp> NextDue() {
    return *Read([](const StoreReader& r) { return r.NextTaskDue(); });
  }
};
MUSTER_OVER_ALL_STORES(Tasks);

std::vector<std::string> KeysOf(const std::vector<TaskRecord>& tasks) {
  std::vector<std::string> keys;
  for (const TaskRecord& task : tasks) keys.push_back(task.key);
  return keys;
}

TEST_P(Tasks, ATaskComesBackAsItWasAddedButFree) {
  TaskRecord task = TaskAt("t", 5);
  task.fence = 77;
  task.attempts = 3;
  task.leased_until = At(9);
  Add(task);
  EXPECT_EQ(*Find("t"), TaskAt("t", 5));
}

TEST_P(Tasks, AddingATaskAgainLeavesItAsItIs) {
  Add(TaskAt("t", 5));
  const auto claimed = Claim(5, 50);
  Add(TaskAt("t", 99));
  EXPECT_EQ(*Find("t"), claimed[0]);
}

TEST_P(Tasks, OnlyDueTasksAreClaimedEarliestFirstUpToTheLimit) {
  Add(TaskAt("late", 30));
  Add(TaskAt("b", 10));
  Add(TaskAt("a", 20));
  Add(TaskAt("c", 10));
  EXPECT_THAT(KeysOf(Claim(9, 100)), IsEmpty());
  EXPECT_THAT(KeysOf(Claim(20, 100, 2)), ElementsAre("b", "c"));
  EXPECT_THAT(KeysOf(Claim(20, 100)), ElementsAre("a"));
  EXPECT_THAT(KeysOf(Claim(20, 100)), IsEmpty());
}

TEST_P(Tasks, AClaimLeasesFencesAndCountsTheAttempt) {
  Add(TaskAt("t", 5));
  const auto claimed = Claim(5, 50);
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].leased_until, At(50));
  EXPECT_EQ(claimed[0].attempts, 1u);
  EXPECT_GT(claimed[0].fence, 0u);
  EXPECT_EQ(*Find("t"), claimed[0]);
}

TEST_P(Tasks, ALeaseThatRanOutIsClaimedAgainAndTheOldFenceIsStale) {
  Add(TaskAt("t", 5));
  const TaskRecord first = Claim(5, 50)[0];
  EXPECT_THAT(Claim(49, 90), IsEmpty());
  const TaskRecord second = Claim(50, 90)[0];
  EXPECT_GT(second.fence, first.fence);
  EXPECT_EQ(second.attempts, 2u);
  EXPECT_TRUE(absl::IsAborted(Complete(first)));
  EXPECT_TRUE(absl::IsAborted(
      Write([&](StoreTx& tx) { return tx.PostponeTask("t", first.fence, At(60)); })));
  ASSERT_OK(Complete(second));
  EXPECT_TRUE(absl::IsNotFound(Find("t").status()));
  EXPECT_TRUE(absl::IsAborted(Complete(second)));
}

TEST_P(Tasks, AFenceThatWasStillUsableAfterItsLeaseRanOutCompletes) {
  Add(TaskAt("t", 5));
  const TaskRecord claimed = Claim(5, 6)[0];
  EXPECT_TRUE(Complete(claimed).ok());
}

TEST_P(Tasks, ATaskThatNobodyClaimedCannotBeCompleted) {
  Add(TaskAt("t", 5));
  EXPECT_TRUE(absl::IsAborted(Complete(*Find("t"))));
}

TEST_P(Tasks, ATaskThatWasCompletedAndAddedAgainDoesNotMeetItsOldFence) {
  Add(TaskAt("t", 5));
  const TaskRecord old = Claim(5, 50)[0];
  ASSERT_OK(Complete(old));
  Add(TaskAt("t", 5));
  ASSERT_EQ(Claim(5, 50).size(), 1u);
  EXPECT_TRUE(absl::IsAborted(Complete(old)));
}

TEST_P(Tasks, APostponedTaskIsFreeAgainWhenItIsDueAndItsFenceIsStale) {
  Add(TaskAt("t", 5));
  const TaskRecord claimed = Claim(5, 50)[0];
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.PostponeTask("t", claimed.fence, At(20)); }));
  EXPECT_TRUE(absl::IsAborted(Complete(claimed)));
  EXPECT_THAT(Claim(19, 60), IsEmpty());
  const auto again = Claim(20, 60);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].attempts, 2u);
}

TEST_P(Tasks, TheNextTaskIsDueWhenItCanBeClaimed) {
  EXPECT_EQ(NextDue(), std::nullopt);
  Add(TaskAt("a", 10));
  Add(TaskAt("b", 30));
  EXPECT_EQ(NextDue(), At(10));
  ASSERT_EQ(Claim(10, 25).size(), 1u);
  EXPECT_EQ(NextDue(), At(25));
  ASSERT_OK(Write([](StoreTx& tx) { return tx.DeleteTask("a"); }));
  EXPECT_EQ(NextDue(), At(30));
  ASSERT_OK(Write([](StoreTx& tx) { return tx.DeleteTask("a"); }));
}

TEST_P(Tasks, AClaimThatIsTakenBackLeavesTheTaskFree) {
  Add(TaskAt("t", 5));
  EXPECT_FALSE(Write([](StoreTx& tx) -> absl::Status {
                 MUSTER_RETURN_IF_ERROR(tx.ClaimTasks(At(5), At(50), 1).status());
                 return absl::CancelledError("stop");
               }).ok());
  EXPECT_EQ(*Find("t"), TaskAt("t", 5));
}

}  // namespace
}  // namespace muster
