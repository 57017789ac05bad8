// The threads that write. Each takes the functions that wait, runs them in one transaction and
// answers them after its commit, so that the cost of making a commit durable is shared. Two
// transactions that stand in each other's way run again. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/store/postgres/pg_connect.h"
#include "coordinator/store/postgres/pg_group.h"
#include "coordinator/store/postgres/postgres_store.h"

namespace muster {

class PgWriter {
 public:
  PgWriter(const PgConnector& connector, const PostgresOptions& options);
  ~PgWriter();  // after the queue has run empty

  // Blocks until the commit that holds `work` is durable, or it failed.
  absl::Status Run(const PgPending::Work& work);
  bool OnWriterThread() const;
  StoreStats Stats() const;

 private:
  using Connection = std::unique_ptr<PgConnection>;

  void Loop();
  void Serve(Connection& db, PgGroup group);
  // Until the group is committed, or an error is everybody's. With `split`, it shall be halved:
  // too many conflicts.
  absl::Status Settle(Connection& db, PgGroup group, double* commit_seconds, bool* split);
  absl::Status Connect(Connection& db, PgDeadline deadline);
  // OK: committed. Aborted: it was not.
  absl::Status Resolve(Connection& db, const std::string& xid);
  void Answer(PgGroup group, const absl::Status& everybody, double commit_seconds);
  bool Pause(std::chrono::milliseconds time);

  const PgConnector& connector_;
  const PostgresOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::condition_variable stopped_;
  std::deque<std::shared_ptr<PgPending>> queue_;
  bool stopping_ = false;
  StoreStats stats_;
  std::vector<std::thread> threads_;
};

}  // namespace muster
