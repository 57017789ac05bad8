#include <atomic>
#include <latch>
#include <thread>

#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

class Transactions : public StoreContract {
 protected:
  absl::StatusOr<DeviceRecord> Find(const std::string& id) {
    return Read([&](const StoreReader& r) { return r.FindDevice(DeviceId::Trusted(id)); });
  }
};
MUSTER_OVER_ALL_STORES(Transactions);

TEST_P(Transactions, AFailedFunctionLeavesNothingOfAnyTable) {
  ASSERT_OK(Write([](StoreTx& tx) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.PutJob(SmallJob("j")));
    MUSTER_RETURN_IF_ERROR(tx.AddTask({.key = "kept", .due = At(1)}));
    return tx.PutDevice(SmallDevice("kept"));
  }));
  const absl::Status status = Write([](StoreTx& tx) -> absl::Status {
    const RoundId round{JobId::Trusted("j"), 1, 1};
    JobRecord job = *tx.FindJob(JobId::Trusted("j"));
    job.state = JobFinishing{3};
    job.idempotency_key = "late";
    MUSTER_RETURN_IF_ERROR(tx.PutJob(job));
    MUSTER_RETURN_IF_ERROR(tx.PutRound(SmallRound("j", 1)));
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(SmallInvocation("i", "d", round)));
    DeviceRecord device = *tx.FindDevice(DeviceId::Trusted("kept"));
    device.agent_version = "2";
    MUSTER_RETURN_IF_ERROR(tx.PutDevice(device));
    MUSTER_RETURN_IF_ERROR(tx.PutToken({.id = TokenId::Trusted("t")}));
    MUSTER_RETURN_IF_ERROR(tx.PutModel({.id = {ModelName::Trusted("m"), 1}}));
    MUSTER_RETURN_IF_ERROR(tx.PutPromotion({.id = PromotionId::Trusted("p")}));
    MUSTER_RETURN_IF_ERROR(tx.DeleteTask("kept"));
    MUSTER_RETURN_IF_ERROR(tx.AddTask({.key = "new", .due = At(1)}));
    MUSTER_RETURN_IF_ERROR(tx.AddUsage({.job = "j", .device = DeviceId::Trusted("d")}));
    MUSTER_RETURN_IF_ERROR(tx.NextGeneration().status());
    return absl::CancelledError("changed my mind");
  });
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  ASSERT_OK(store_->Read([](const StoreReader& r) {
    EXPECT_EQ(*r.FindJob(JobId::Trusted("j")), Stored(SmallJob("j")));
    EXPECT_FALSE(r.FindJobByKey("late").ok());
    EXPECT_TRUE(r.ListRounds(JobId::Trusted("j"), 0, 10)->empty());
    EXPECT_FALSE(r.FindInvocation(InvocationId::Trusted("i")).ok());
    EXPECT_TRUE(r.ListOpenInvocations(DeviceId::Trusted("d"))->empty());
    EXPECT_EQ(*r.FindDevice(DeviceId::Trusted("kept")), Stored(SmallDevice("kept")));
    EXPECT_TRUE(r.ListTokens()->empty());
    EXPECT_TRUE(r.ListModels("", {})->empty());
    EXPECT_TRUE(r.ListPromotions("")->empty());
    EXPECT_TRUE(r.FindTask("kept").ok());
    EXPECT_FALSE(r.FindTask("new").ok());
    EXPECT_TRUE(r.ListUsage("", "")->empty());
    EXPECT_EQ(*r.CurrentGeneration(), 0u);
    return absl::OkStatus();
  }));
}

TEST_P(Transactions, AFunctionSeesItsOwnWrites) {
  ASSERT_OK(Write([](StoreTx& tx) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.PutDevice(SmallDevice("d")));
    MUSTER_ASSIGN_OR_RETURN(DeviceRecord device, tx.FindDevice(DeviceId::Trusted("d")));
    EXPECT_EQ(device.row_version, 1u);
    return tx.PutDevice(device);
  }));
  EXPECT_EQ(Find("d")->row_version, 2u);
}

TEST_P(Transactions, APutWithTheStoredVersionReplacesAndCountsUp) {
  DeviceRecord device = SmallDevice("d");
  for (uint64_t version = 0; version < 3; ++version) {
    device.row_version = version;
    ASSERT_OK(Write([&](StoreTx& tx) { return tx.PutDevice(device); }));
    EXPECT_EQ(Find("d")->row_version, version + 1);
  }
}

TEST_P(Transactions, APutWithAStaleVersionIsAborted) {
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }));
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PutDevice(Stored(SmallDevice("d"))); }));
  DeviceRecord stale = Stored(SmallDevice("d"));
  const absl::Status status = Write([&](StoreTx& tx) { return tx.PutDevice(stale); });
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("load it again"));
  stale.row_version = 9;
  EXPECT_TRUE(absl::IsAborted(Write([&](StoreTx& tx) { return tx.PutDevice(stale); })));
}

TEST_P(Transactions, AnInsertOfWhatExistsIsRefusedAndAnUpdateOfWhatDoesNotToo) {
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }));
  const absl::Status again = Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); });
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
  const absl::Status absent =
      Write([](StoreTx& tx) { return tx.PutDevice(Stored(SmallDevice("e"))); });
  EXPECT_TRUE(absl::IsNotFound(absent)) << absent;
}

TEST_P(Transactions, ARefusedPutDoesNotSpoilTheRestOfItsFunction) {
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }));
  ASSERT_OK(Write([](StoreTx& tx) -> absl::Status {
    EXPECT_TRUE(absl::IsAlreadyExists(tx.PutDevice(SmallDevice("d"))));
    EXPECT_TRUE(absl::IsFailedPrecondition(tx.PutRound(SmallRound("ghost", 1))));
    return tx.PutDevice(SmallDevice("e"));
  }));
  EXPECT_TRUE(Find("e").ok());
}

TEST_P(Transactions, AReadSeesOneSnapshotWhateverIsWrittenMeanwhile) {
  if (GetParam() == "memory") {
    // Here a reader keeps writers out; the snapshot is the whole of it.
    ASSERT_OK(store_->Read([](const StoreReader& r) {
      EXPECT_TRUE(r.ListDevices({})->empty());
      return absl::OkStatus();
    }));
    return;
  }
  ASSERT_OK(store_->Read([&](const StoreReader& r) {
    EXPECT_TRUE(r.ListDevices({})->empty());
    std::thread([&] {
      EXPECT_TRUE(Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }).ok());
    }).join();
    EXPECT_TRUE(r.ListDevices({})->empty());
    return absl::OkStatus();
  }));
  EXPECT_TRUE(Find("d").ok());
}

TEST_P(Transactions, AReadNeverSeesHalfAWrite) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; i < 200; ++i) {
      EXPECT_TRUE(Write([&](StoreTx& tx) -> absl::Status {
                    MUSTER_RETURN_IF_ERROR(tx.PutDevice(SmallDevice(StrCat("a", i))));
                    return tx.PutDevice(SmallDevice(StrCat("b", i)));
                  }).ok());
    }
    stop = true;
  });
  size_t last = 0;
  while (!stop) {
    ASSERT_OK(store_->Read([&](const StoreReader& r) {
      const size_t count = *r.CountDevices();
      EXPECT_EQ(count % 2, 0u);
      EXPECT_EQ(r.ListDevices({.limit = 1000})->size(), count);
      EXPECT_GE(count, last);
      last = count;
      return absl::OkStatus();
    }));
  }
  writer.join();
  EXPECT_EQ(*Read([](const StoreReader& r) { return r.CountDevices(); }), 400u);
}

TEST_P(Transactions, ManyThreadsIncrementingUnderCompareAndSwapLoseNothing) {
  constexpr int kThreads = 8, kIncrements = 50;
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kIncrements; ++i) {
        // Loaded outside the transaction, so that others get in between.
        absl::Status status = absl::AbortedError("not tried");
        while (absl::IsAborted(status)) {
          DeviceRecord device = *Find("d");
          ++device.applied_generation;
          status = Write([&](StoreTx& tx) { return tx.PutDevice(device); });
        }
        EXPECT_TRUE(status.ok()) << status;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Find("d")->applied_generation, uint64_t{kThreads * kIncrements});
}

TEST_P(Transactions, ConcurrentClaimsNeverHandOutATaskTwice) {
  constexpr int kTasks = 100;
  for (int i = 0; i < kTasks; ++i) {
    ASSERT_OK(
        Write([&](StoreTx& tx) { return tx.AddTask({.key = StrCat("t", i), .due = At(1)}); }));
  }
  std::atomic<int> claimed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (size_t got = 1; got > 0;) {
        EXPECT_TRUE(Write([&](StoreTx& tx) -> absl::Status {
                      MUSTER_ASSIGN_OR_RETURN(auto tasks, tx.ClaimTasks(At(1), At(99), 3));
                      got = tasks.size();
                      return absl::OkStatus();
                    }).ok());
        claimed += static_cast<int>(got);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(claimed, kTasks);
}

TEST_P(Transactions, WriteAndReadFromInsideAWriteAreRefusedInsteadOfHanging) {
  ASSERT_OK(Write([&](StoreTx&) -> absl::Status {
    const absl::Status write = store_->Write([](StoreTx&) { return absl::OkStatus(); });
    const absl::Status read = store_->Read([](const StoreReader&) { return absl::OkStatus(); });
    EXPECT_TRUE(absl::IsFailedPrecondition(write)) << write;
    EXPECT_TRUE(absl::IsFailedPrecondition(read)) << read;
    return absl::OkStatus();
  }));
}

TEST_P(Transactions, ManyReadsAtOnceAllEnd) {
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }));
  std::atomic<int> found{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) found += Find("d").ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(found, 16 * 20);
}

TEST_P(Transactions, StatsCountCommitsAndFailures) {
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }));
  EXPECT_FALSE(Write([](StoreTx&) { return absl::CancelledError("no"); }).ok());
  const StoreStats stats = store_->Stats();
  EXPECT_EQ(stats.commits, 1u);
  EXPECT_EQ(stats.writes, 1u);
  EXPECT_EQ(stats.failed_writes, 1u);
  EXPECT_EQ(stats.largest_group, 1u);
}

}  // namespace
}  // namespace muster
