#include "coordinator/store/sqlite/group_writer.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "coordinator/store/reads.h"
#include "coordinator/store/sql/sql_rows.h"

namespace muster {

GroupWriter::GroupWriter(std::unique_ptr<Connection> connection, size_t max_group)
    : db_(std::move(connection)), max_group_(max_group) {
  thread_ = std::thread([this] { Loop(); });
}

GroupWriter::~GroupWriter() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_one();
  thread_.join();
}

absl::Status GroupWriter::Run(const Work& work) {
  const auto pending = std::make_shared<Pending>(&work);
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(pending);
  }
  arrived_.notify_one();
  pending->answered.acquire();
  return std::move(pending->result);
}

StoreStats GroupWriter::Stats() const {
  std::lock_guard lock(mutex_);
  StoreStats stats = stats_;
  stats.waiting = queue_.size();
  return stats;
}

void GroupWriter::Loop() {
  std::vector<std::shared_ptr<Pending>> group;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const size_t count = std::min(queue_.size(), max_group_);
      group.assign(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(count));
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(count));
    }
    double commit_seconds = 0;
    const absl::Status commit = RunGroup(group, &commit_seconds);
    if (db_->InTransaction()) db_->Execute("ROLLBACK").IgnoreError();
    Answer(group, commit, commit_seconds);
    group.clear();
  }
}

// An error here is everybody's; what concerns one function is in its own result.
absl::Status GroupWriter::RunGroup(Group group, double* commit_seconds) {
  MUSTER_RETURN_IF_ERROR(db_->Execute("BEGIN IMMEDIATE"));
  bool something_to_commit = false;
  for (const std::shared_ptr<Pending>& pending : group) {
    MUSTER_RETURN_IF_ERROR(RunOne(*pending, group.size() == 1));
    something_to_commit |= pending->result.ok();
  }
  if (!something_to_commit) return absl::OkStatus();
  const auto start = std::chrono::steady_clock::now();
  const absl::Status status = db_->Execute("COMMIT");
  *commit_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return status;
}

absl::Status GroupWriter::RunOne(Pending& pending, bool alone) {
  // A function on its own has the transaction for a savepoint.
  if (!alone) MUSTER_RETURN_IF_ERROR(db_->Execute("SAVEPOINT work"));
  SqlRows rows(*db_);
  TxOver<SqlRows> tx(rows);
  pending.result = (*pending.work)(tx);
  // SQLite gives the whole transaction up where a disk is full or fails.
  if (!db_->InTransaction()) {
    return pending.result.ok() ? absl::ResourceExhaustedError(
                                     "the disk is full or failed; nothing of this write was kept")
                               : pending.result;
  }
  if (alone) return absl::OkStatus();
  if (!pending.result.ok()) MUSTER_RETURN_IF_ERROR(db_->Execute("ROLLBACK TO work"));
  return db_->Execute("RELEASE work");
}

void GroupWriter::Answer(Group group, const absl::Status& commit, double commit_seconds) {
  {
    std::lock_guard lock(mutex_);
    uint64_t succeeded = 0;
    for (const std::shared_ptr<Pending>& pending : group) {
      if (!commit.ok()) pending->result = commit;
      succeeded += pending->result.ok() ? 1 : 0;
    }
    stats_.writes += succeeded;
    stats_.failed_writes += group.size() - succeeded;
    stats_.commits += succeeded > 0 ? 1 : 0;
    stats_.largest_group = std::max(stats_.largest_group, succeeded);
    stats_.commit_seconds += commit_seconds;
  }
  for (const std::shared_ptr<Pending>& pending : group) pending->answered.release();
}

}  // namespace muster
