// The task runner: claims due tasks by lease, carries them out, and completes each in the
// transaction that makes its outcome durable. Any number of runners may work over one store.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>

#include "coordinator/drive/context.h"
#include "coordinator/drive/dispatch.h"

namespace muster {

class TaskRunner {
 public:
  TaskRunner(DriveContext& context, Dispatcher& dispatcher);
  ~TaskRunner();  // finishes the task in hand
  TaskRunner(const TaskRunner&) = delete;
  TaskRunner& operator=(const TaskRunner&) = delete;

  void Start();

  // Garbage collection is due again and again, for one of all runners at a time: a row says when,
  // so that it is not missed by processes that come and go. It takes longer than a task may, so the
  // runner only plans the next one; whoever does it takes it over. Zero: never. Before anything
  // runs.
  absl::Status PlanCollections(Duration every);
  // True once for each time that it fell due here.
  bool TakeCollection() { return collection_due_.exchange(false); }

  // Claims and carries out what is due now, some at a time; returns how many. Any thread may.
  absl::StatusOr<size_t> RunDue();

  // RunDue() until nothing is due or `max_tasks` were carried out, by this call or by the runner's
  // own thread meanwhile, and until what that thread has in hand is done.
  struct Ticked {
    size_t ran = 0;
    std::optional<Timestamp> next_due;
  };
  absl::StatusOr<Ticked> Tick(size_t max_tasks);

  bool working() const { return in_hand_.load() > 0 || collection_due_.load(); }
  uint64_t ran() const { return ran_.load(); }  // since it was made

 private:
  absl::StatusOr<size_t> ClaimAndRun();
  void Run();
  absl::Status RunOne(const TaskRecord& task);
  absl::Status EndPhase(StoreTx& tx, AfterCommit& after, RoundRecord& round, Timestamp now);
  absl::Status BeginCollection(const TaskRecord& task);
  void Retry(const TaskRecord& task, const absl::Status& why);
  void RefreshFleetSize();

  DriveContext& context_;
  Dispatcher& dispatcher_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool nudged_ = false;
  std::atomic<size_t> in_hand_{0};  // calls of RunDue
  std::atomic<uint64_t> ran_{0};
  Duration collect_every_{0};
  std::atomic<bool> collection_due_{false};
  std::thread thread_;
};

}  // namespace muster
