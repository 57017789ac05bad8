// The one thread that writes. It takes all functions that wait, runs each inside a savepoint of one
// transaction, commits once, and answers all of them then: the cost of making a commit durable is
// shared by everybody who waits for it. Thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <semaphore>
#include <span>
#include <thread>

#include "absl/status/status.h"
#include "coordinator/store/sqlite/connection.h"
#include "coordinator/store/state_store.h"

namespace muster {

class GroupWriter {
 public:
  using Work = std::function<absl::Status(StoreTx&)>;

  // At most `max_group` functions, at least 1, share a commit.
  GroupWriter(std::unique_ptr<Connection> connection, size_t max_group);
  ~GroupWriter();  // after the queue has run empty

  // Blocks until the commit that holds `work` is durable, or it failed.
  absl::Status Run(const Work& work);
  bool OnWriterThread() const { return std::this_thread::get_id() == thread_.get_id(); }
  StoreStats Stats() const;

 private:
  struct Pending {
    explicit Pending(const Work* w) : work(w) {}

    const Work* work;
    absl::Status result;
    std::binary_semaphore answered{0};
  };

  using Group = std::span<const std::shared_ptr<Pending>>;

  void Loop();
  absl::Status RunGroup(Group group, double* commit_seconds);
  absl::Status RunOne(Pending& pending, bool alone);
  void Answer(Group group, const absl::Status& commit, double commit_seconds);

  std::unique_ptr<Connection> db_;
  const size_t max_group_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::shared_ptr<Pending>> queue_;
  bool stopping_ = false;
  StoreStats stats_;
  std::thread thread_;
};

}  // namespace muster
