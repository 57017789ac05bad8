// Several replicas over one database: each store here is what one replica has.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <set>
#include <thread>

#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

class PostgresReplicas : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string url = SharedPostgres().FreshUrl();
    for (std::unique_ptr<StateStore>* store : {&a_, &b_}) {
      auto opened = OpenPostgresStore({.url = url});
      ASSERT_TRUE(opened.ok()) << opened.status();
      *store = *std::move(opened);
    }
  }
  static absl::StatusOr<DeviceRecord> Find(StateStore& store, const std::string& id) {
    absl::StatusOr<DeviceRecord> device = absl::UnknownError("not run");
    const absl::Status read = store.Read([&](const StoreReader& r) {
      device = r.FindDevice(DeviceId::Trusted(id));
      return absl::OkStatus();
    });
    return read.ok() ? device : read;
  }
  // `work(store)` in both replicas at once, `threads` times each.
  template <typename Work>
  void Race(int threads, Work work) {
    std::latch start(2 * threads);
    std::vector<std::thread> running;
    for (StateStore* store : {a_.get(), b_.get()}) {
      for (int t = 0; t < threads; ++t) {
        running.emplace_back([&, store] {
          start.arrive_and_wait();
          work(*store);
        });
      }
    }
    for (std::thread& thread : running) thread.join();
  }
  std::unique_ptr<StateStore> a_, b_;
};

TEST_F(PostgresReplicas, WhatOneWasAnsweredTheOtherSees) {
  ASSERT_OK(a_->Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }));
  EXPECT_EQ(*Find(*b_, "d"), Stored(SmallDevice("d")));
}

TEST_F(PostgresReplicas, RacingCompareAndSwapLosesNothing) {
  constexpr int kThreads = 2, kIncrements = 40;
  ASSERT_OK(a_->Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }));
  Race(kThreads, [&](StateStore& store) {
    for (int i = 0; i < kIncrements; ++i) {
      absl::Status status = absl::AbortedError("not tried");
      while (absl::IsAborted(status)) {
        auto device = Find(store, "d");
        ASSERT_TRUE(device.ok()) << device.status();
        ++device->applied_generation;
        status = store.Write([&](StoreTx& tx) { return tx.PutDevice(*device); });
      }
      EXPECT_TRUE(status.ok()) << status;
    }
  });
  EXPECT_EQ(Find(*a_, "d")->applied_generation, uint64_t{2 * kThreads * kIncrements});
}

TEST_F(PostgresReplicas, RacingClaimsNeverHandOutATaskTwiceAndFencesGrow) {
  constexpr int kTasks = 60;
  ASSERT_OK(a_->Write([](StoreTx& tx) -> absl::Status {
    for (int i = 0; i < kTasks; ++i) {
      MUSTER_RETURN_IF_ERROR(tx.AddTask({.key = StrCat("t", i), .due = At(1)}));
    }
    return absl::OkStatus();
  }));
  std::mutex mutex;
  std::set<std::string> keys;
  std::set<uint64_t> fences;
  int claimed = 0;
  Race(2, [&](StateStore& store) {
    while (true) {
      std::vector<TaskRecord> tasks;
      absl::Status status = absl::AbortedError("not tried");
      while (absl::IsAborted(status)) {
        status = store.Write([&](StoreTx& tx) -> absl::Status {
          MUSTER_ASSIGN_OR_RETURN(tasks, tx.ClaimTasks(At(1), At(99), 3));
          return absl::OkStatus();
        });
      }
      ASSERT_TRUE(status.ok()) << status;
      std::lock_guard lock(mutex);
      for (const TaskRecord& task : tasks) {
        ++claimed;
        keys.insert(task.key);
        fences.insert(task.fence);
      }
      if (keys.size() == kTasks) return;
    }
  });
  EXPECT_EQ(claimed, kTasks);
  EXPECT_EQ(fences.size(), size_t{kTasks});
}

// Each function reads what the other writes. One after the other, the second sees the first.
TEST_F(PostgresReplicas, TwoFunctionsThatReadWhatTheOtherWritesDoNotBothPassTheirCheck) {
  for (int round = 0; round < 20; ++round) {
    const std::string one = StrCat("one", round), two = StrCat("two", round);
    std::atomic<int> passed{0};
    Race(1, [&](StateStore& store) {
      const bool first = &store == a_.get();
      const std::string& mine = first ? one : two;
      const std::string& other = first ? two : one;
      bool alone = false;
      absl::Status status = absl::AbortedError("not tried");
      while (absl::IsAborted(status)) {
        status = store.Write([&](StoreTx& tx) -> absl::Status {
          alone = !tx.FindDevice(DeviceId::Trusted(other)).ok();
          return tx.PutDevice(SmallDevice(mine));
        });
      }
      EXPECT_TRUE(status.ok()) << status;
      passed += alone ? 1 : 0;
    });
    EXPECT_EQ(passed, 1) << round;
  }
}

TEST_F(PostgresReplicas, RacingInsertsOfOneKeyHaveOneWinner) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> won{0}, lost{0};
    Race(2, [&](StateStore& store) {
      const absl::Status status =
          store.Write([&](StoreTx& tx) { return tx.PutDevice(SmallDevice(StrCat("d", round))); });
      (status.ok() ? won : lost) += 1;
      EXPECT_TRUE(status.ok() || absl::IsAlreadyExists(status)) << status;
    });
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, 3);
  }
}

TEST_F(PostgresReplicas, AHintWakesTheOtherReplicaAndNotItsSender) {
  std::mutex mutex;
  std::condition_variable changed;
  std::multiset<std::string> at_a, at_b;
  const auto note = [&](std::multiset<std::string>& heard) {
    return [&](const std::string& key) {
      std::lock_guard lock(mutex);
      heard.insert(key);
      changed.notify_all();
    };
  };
  a_->OnHint(note(at_a));
  b_->OnHint(note(at_b));
  // Hints may be lost while a replica is still connecting: they are repeated until heard.
  const auto until_heard = [&](StateStore& from, const std::string& key,
                               std::multiset<std::string>& heard) {
    std::unique_lock lock(mutex);
    while (heard.count(key) == 0) {
      lock.unlock();
      from.Hint({key, "with/" + key});
      lock.lock();
      changed.wait_for(lock, std::chrono::milliseconds(20), [&] { return heard.count(key) > 0; });
    }
  };
  until_heard(*a_, "job/1", at_b);
  until_heard(*b_, "job/2", at_a);
  {
    std::lock_guard lock(mutex);
    EXPECT_EQ(at_a.count("job/1"), 0u);
    EXPECT_EQ(at_b.count("job/2"), 0u);
  }
  // More than one notification can carry.
  std::vector<std::string> many;
  for (int i = 0; i < 1000; ++i) many.push_back(StrCat("device/with-a-long-name-", i));
  a_->Hint(many);
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] {
      return std::all_of(many.begin(), many.end(),
                         [&](const std::string& key) { return at_b.count(key) > 0; });
    });
  }
  a_->OnHint(nullptr);
  b_->OnHint(nullptr);
}

TEST_F(PostgresReplicas, WritesThatWaitShareOneCommitAndEachIsJudgedAlone) {
  auto store = *OpenPostgresStore({.url = SharedPostgres().FreshUrl(), .write_connections = 1});
  constexpr int kWriters = 32;
  std::vector<std::thread> threads;
  std::vector<absl::Status> results(kWriters);
  // The first write holds the writer until all others wait in the queue.
  ASSERT_OK(store->Write([&](StoreTx& tx) {
    if (threads.empty()) {
      for (int i = 0; i < kWriters; ++i) {
        threads.emplace_back([&, i] {
          results[static_cast<size_t>(i)] = store->Write([&](StoreTx& inner) -> absl::Status {
            MUSTER_RETURN_IF_ERROR(inner.PutDevice(SmallDevice(StrCat("d", i))));
            return i % 4 == 0 ? absl::CancelledError("no") : absl::OkStatus();
          });
        });
      }
      while (store->Stats().waiting < kWriters) std::this_thread::yield();
    }
    return tx.PutDevice(SmallDevice("first"));
  }));
  for (std::thread& thread : threads) thread.join();
  const StoreStats stats = store->Stats();
  EXPECT_EQ(stats.commits, 2u);
  EXPECT_EQ(stats.writes, 1u + kWriters - kWriters / 4);
  EXPECT_EQ(stats.failed_writes, uint64_t{kWriters / 4});
  EXPECT_EQ(stats.largest_group, uint64_t{kWriters - kWriters / 4});
  for (int i = 0; i < kWriters; ++i) {
    EXPECT_EQ(Find(*store, StrCat("d", i)).ok(), i % 4 != 0);
    EXPECT_EQ(results[static_cast<size_t>(i)].ok(), i % 4 != 0);
  }
}

}  // namespace
}  // namespace muster
