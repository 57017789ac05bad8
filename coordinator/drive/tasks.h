// The task runner: claims due tasks by lease, carries them out, and completes each in the
// transaction that makes its outcome durable. Any number of runners may work over one store.
#pragma once

#include <condition_variable>
#include <mutex>
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

  // Claims and carries out everything that is due now; returns how many. For tests and simulation.
  absl::StatusOr<size_t> RunDue();

 private:
  void Run();
  absl::Status RunOne(const TaskRecord& task);
  absl::Status EndPhase(StoreTx& tx, AfterCommit& after, RoundRecord& round, Timestamp now);
  void Retry(const TaskRecord& task, const absl::Status& why);
  void RefreshFleetSize();

  DriveContext& context_;
  Dispatcher& dispatcher_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool nudged_ = false;
  std::thread thread_;
};

}  // namespace muster
