#include <limits>

#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class JobsAndRounds : public StoreContract {
 protected:
  void SetUp() override {
    StoreContract::SetUp();
    ASSERT_OK(Write([](StoreTx& tx) { return tx.PutJob(SmallJob("j")); }));
  }
  void PutRounds(std::vector<RoundRecord> rounds) {
    ASSERT_OK(Write([&](StoreTx& tx) -> absl::Status {
      for (const RoundRecord& round : rounds) MUSTER_RETURN_IF_ERROR(tx.PutRound(round));
      return absl::OkStatus();
    }));
  }
};
MUSTER_OVER_ALL_STORES(JobsAndRounds);

TEST_P(JobsAndRounds, AJobComesBackAsItWasPutWithTheNextRowVersion) {
  JobRecord job = SmallJob("full", 5);
  job.idempotency_key = "key";
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.PutJob(job); }));
  const auto found = Read([](const StoreReader& r) { return r.FindJob(JobId::Trusted("full")); });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, Stored(job));
  const auto by_key = Read([](const StoreReader& r) { return r.FindJobByKey("key"); });
  ASSERT_TRUE(by_key.ok()) << by_key.status();
  EXPECT_EQ(*by_key, Stored(job));
}

TEST_P(JobsAndRounds, EveryJobStateComesBackAsItWasPut) {
  const std::vector<JobState> states = {
      JobRunning{7, 2, 6}, JobFinishing{9}, JobSucceeded{9, At(8)},
      JobFailed{3, At(4), "quorum never came"}, JobCancelled{2, At(3), "operator/bob"}};
  JobRecord job = SmallJob("j");
  job.row_version = 1;
  for (const JobState& state : states) {
    job.state = state;
    ASSERT_OK(Write([&](StoreTx& tx) { return tx.PutJob(job); }));
    ++job.row_version;
    const auto found = Read([](const StoreReader& r) { return r.FindJob(JobId::Trusted("j")); });
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(*found, job);
  }
}

TEST_P(JobsAndRounds, AnAbsentJobIsNotFound) {
  const auto id = Read([](const StoreReader& r) { return r.FindJob(JobId::Trusted("none")); });
  EXPECT_TRUE(absl::IsNotFound(id.status())) << id.status();
  const auto key = Read([](const StoreReader& r) { return r.FindJobByKey("none"); });
  EXPECT_TRUE(absl::IsNotFound(key.status())) << key.status();
}

TEST_P(JobsAndRounds, AnIdempotencyKeyNamesOneJob) {
  JobRecord first = SmallJob("a");
  first.idempotency_key = "once";
  JobRecord second = SmallJob("b");
  second.idempotency_key = "once";
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.PutJob(first); }));
  const absl::Status again = Write([&](StoreTx& tx) { return tx.PutJob(second); });
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
  EXPECT_THAT(std::string(again.message()), HasSubstr("once"));
  // The holder itself may be written again, and jobs without a key do not collide.
  EXPECT_TRUE(Write([&](StoreTx& tx) { return tx.PutJob(Stored(first)); }).ok());
  EXPECT_TRUE(Write([](StoreTx& tx) { return tx.PutJob(SmallJob("c")); }).ok());
  EXPECT_TRUE(Write([](StoreTx& tx) { return tx.PutJob(SmallJob("d")); }).ok());
}

TEST_P(JobsAndRounds, JobsAreListedNewestFirstPageByPage) {
  ASSERT_OK(Write([](StoreTx& tx) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.PutJob(SmallJob("x", 10)));
    MUSTER_RETURN_IF_ERROR(tx.PutJob(SmallJob("y", 30)));
    return tx.PutJob(SmallJob("z", 10));
  }));
  const auto ids = [&](const Page& page) {
    std::vector<std::string> names;
    const auto jobs = Read([&](const StoreReader& r) { return r.ListJobs(page); });
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    for (const JobRecord& job : *jobs) names.push_back(job.id.value());
    return names;
  };
  EXPECT_THAT(ids({}), ElementsAre("y", "z", "x", "j"));
  EXPECT_THAT(ids({.limit = 2}), ElementsAre("y", "z"));
  EXPECT_THAT(ids({.after = "z", .limit = 1}), ElementsAre("x"));
  EXPECT_THAT(ids({.after = "j"}), IsEmpty());
  const auto lost = Read([](const StoreReader& r) { return r.ListJobs({.after = "gone"}); });
  EXPECT_TRUE(absl::IsNotFound(lost.status())) << lost.status();
}

TEST_P(JobsAndRounds, EveryRoundStateComesBackAsItWasPut) {
  RoundRecord round = SmallRound("j", 1);
  round.base_package = DigestOf("package");
  round.base_weights = DigestOf("weights");
  round.optimizer_state = DigestOf("optimizer");
  round.model_version = 4;
  round.metrics = {{"train_loss", 0.1 + 0.2}, {"nan-free", -1e-300}};
  round.evaluation = {{"accuracy", 1.0 / 3.0}};
  round.bytes_up = 1ull << 40;
  round.bytes_down = 17;
  const std::vector<RoundState> states = {Collecting{At(1), At(61), 4, 3, 1, 1ull << 33},
                                          Sharing{At(1), At(61), 4, 3, 1, 2, 1},
                                          Masking{At(1), At(61), 4, 3, 1, 2, 0},
                                          Agreeing{At(1), At(61), 4, 3, 1, 0, 0},
                                          Unmasking{At(1), At(61), 4, 3, 1, 3, 0},
                                          Aggregating{At(1), At(9), 4, 3, 1, 90},
                                          Committed{At(1), At(9), 4, 3, 1, 90, 4},
                                          Abandoned{At(1), At(9), 4, 1, 3, "no quorum"}};
  for (const RoundState& state : states) {
    round.state = state;
    ASSERT_OK(Write([&](StoreTx& tx) { return tx.PutRound(round); }));
    ++round.row_version;
    const auto found = Read([&](const StoreReader& r) { return r.FindRound(round.id); });
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(*found, round);
  }
}

TEST_P(JobsAndRounds, MetricsKeepInfinities) {
  RoundRecord round = SmallRound("j", 1);
  round.metrics = {{"up", std::numeric_limits<double>::infinity()},
                   {"down", -std::numeric_limits<double>::infinity()}};
  PutRounds({round});
  EXPECT_EQ(Read([&](const StoreReader& r) { return r.FindRound(round.id); })->metrics,
            round.metrics);
}

TEST_P(JobsAndRounds, ARoundWithoutItsJobIsRefused) {
  const absl::Status status =
      Write([](StoreTx& tx) { return tx.PutRound(SmallRound("ghost", 1)); });
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("ghost"));
}

TEST_P(JobsAndRounds, RoundsAreListedByNumberAndAttemptWithinTheirJob) {
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PutJob(SmallJob("k")); }));
  PutRounds({SmallRound("j", 10), SmallRound("j", 2, 2), SmallRound("j", 2, 1), SmallRound("j", 1),
             SmallRound("k", 2)});
  const auto names = [&](uint32_t from, size_t limit) {
    std::vector<std::string> list;
    const auto rounds =
        Read([&](const StoreReader& r) { return r.ListRounds(JobId::Trusted("j"), from, limit); });
    EXPECT_TRUE(rounds.ok()) << rounds.status();
    for (const RoundRecord& round : *rounds) list.push_back(round.id.ToString());
    return list;
  };
  EXPECT_THAT(names(0, 100), ElementsAre("j/r1.a1", "j/r2.a1", "j/r2.a2", "j/r10.a1"));
  EXPECT_THAT(names(2, 2), ElementsAre("j/r2.a1", "j/r2.a2"));
  EXPECT_THAT(names(11, 100), IsEmpty());
}

TEST_P(JobsAndRounds, OnlyRoundsThatHaveNotEndedAreListedAsOpen) {
  RoundRecord aggregating = SmallRound("j", 3), committed = SmallRound("j", 1);
  aggregating.state = Aggregating{At(1), At(2), 4, 3, 1, 90};
  committed.state = Committed{At(1), At(2), 4, 3, 1, 90, 7};
  committed.model_version = 7;
  PutRounds({committed, aggregating, SmallRound("j", 2)});
  const auto rounds = Read([](const StoreReader& r) { return r.ListOpenRounds(); });
  ASSERT_TRUE(rounds.ok()) << rounds.status();
  ASSERT_EQ(rounds->size(), 2u);
  EXPECT_EQ((*rounds)[0].id.number, 2u);
  EXPECT_EQ((*rounds)[1].id.number, 3u);
}

TEST_P(JobsAndRounds, AnInvocationComesBackAsItWasPut) {
  PutRounds({SmallRound("j", 1)});
  InvocationRecord invocation = SmallInvocation("i", "d", {JobId::Trusted("j"), 1, 1});
  invocation.function = FunctionKind::kEvaluate;
  invocation.package = DigestOf("package");
  invocation.seed = std::numeric_limits<uint64_t>::max();
  invocation.traceparent = "00-aa-bb-01";
  invocation.status = InvocationStatus::kRefused;
  invocation.update = DigestOf("update");
  invocation.examples = 600;
  invocation.metrics = {{"accuracy", 0.75}};
  invocation.metering = {
      std::chrono::milliseconds(7), std::chrono::milliseconds(5), 1ull << 31, 3, 4, true};
  invocation.reason = "not a number at 17, 'quoted' \"twice\"\nand a line";
  invocation.finished = At(9);
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.PutInvocation(invocation); }));
  const auto found = Read([&](const StoreReader& r) { return r.FindInvocation(invocation.id); });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, Stored(invocation));
}

TEST_P(JobsAndRounds, ADeviceHasOneInvocationOfAFunctionInARound) {
  PutRounds({SmallRound("j", 1), SmallRound("j", 2)});
  const RoundId round{JobId::Trusted("j"), 1, 1};
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.PutInvocation(SmallInvocation("i", "d", round)); }));
  const absl::Status again =
      Write([&](StoreTx& tx) { return tx.PutInvocation(SmallInvocation("i2", "d", round)); });
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
  InvocationRecord evaluate = SmallInvocation("i3", "d", round);
  evaluate.function = FunctionKind::kEvaluate;
  EXPECT_TRUE(Write([&](StoreTx& tx) { return tx.PutInvocation(evaluate); }).ok());
  const RoundId other{JobId::Trusted("j"), 2, 1};
  EXPECT_TRUE(
      Write([&](StoreTx& tx) { return tx.PutInvocation(SmallInvocation("i4", "d", other)); }).ok());
}

TEST_P(JobsAndRounds, AnInvocationWithoutItsRoundIsRefused) {
  const RoundId round{JobId::Trusted("j"), 1, 1};
  const absl::Status status =
      Write([&](StoreTx& tx) { return tx.PutInvocation(SmallInvocation("i", "d", round)); });
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_P(JobsAndRounds, InvocationsOfARoundAreOrderedByDevice) {
  PutRounds({SmallRound("j", 1)});
  const RoundId round{JobId::Trusted("j"), 1, 1};
  ASSERT_OK(Write([&](StoreTx& tx) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(SmallInvocation("1", "d3", round)));
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(SmallInvocation("2", "d1", round)));
    return tx.PutInvocation(SmallInvocation("3", "d2", round));
  }));
  const auto list =
      Read([&](const StoreReader& r) { return r.ListInvocations(round, FunctionKind::kTrain); });
  ASSERT_TRUE(list.ok()) << list.status();
  std::vector<std::string> devices;
  for (const auto& invocation : *list) devices.push_back(invocation.device.value());
  EXPECT_THAT(devices, ElementsAre("d1", "d2", "d3"));
  const auto none =
      Read([&](const StoreReader& r) { return r.ListInvocations(round, FunctionKind::kEvaluate); });
  EXPECT_THAT(*none, IsEmpty());
}

TEST_P(JobsAndRounds, OpenInvocationsOfADeviceAreListedOldestFirstUntilTheyEnd) {
  PutRounds({SmallRound("j", 1), SmallRound("j", 2)});
  InvocationRecord late = SmallInvocation("a", "d", {JobId::Trusted("j"), 1, 1});
  late.created = At(9);
  InvocationRecord early = SmallInvocation("b", "d", {JobId::Trusted("j"), 2, 1});
  early.created = At(3);
  const InvocationRecord other = SmallInvocation("c", "e", {JobId::Trusted("j"), 1, 1});
  ASSERT_OK(Write([&](StoreTx& tx) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(late));
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(early));
    return tx.PutInvocation(other);
  }));
  const auto open = [&] {
    std::vector<std::string> names;
    const auto list =
        Read([](const StoreReader& r) { return r.ListOpenInvocations(DeviceId::Trusted("d")); });
    EXPECT_TRUE(list.ok()) << list.status();
    for (const auto& invocation : *list) names.push_back(invocation.id.value());
    return names;
  };
  EXPECT_THAT(open(), ElementsAre("b", "a"));
  InvocationRecord done = Stored(early);
  done.status = InvocationStatus::kReported;
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.PutInvocation(done); }));
  EXPECT_THAT(open(), ElementsAre("a"));
}

}  // namespace
}  // namespace muster
