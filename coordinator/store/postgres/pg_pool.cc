#include "coordinator/store/postgres/pg_pool.h"

#include <thread>

#include "proto/core/status.h"

namespace muster {

PgPool::Lease PgPool::Take() {
  std::unique_lock lock(mutex_);
  returned_.wait(lock, [&] { return in_use_ < size_; });
  ++in_use_;
  std::unique_ptr<PgConnection> connection;
  if (!idle_.empty()) {
    connection = std::move(idle_.back());
    idle_.pop_back();
  }
  return Lease(this, std::move(connection));
}

void PgPool::Return(std::unique_ptr<PgConnection> connection) {
  {
    std::lock_guard lock(mutex_);
    --in_use_;
    const bool whole =
        connection != nullptr && connection->trouble() == PgConnection::Trouble::kNone;
    if (whole) idle_.push_back(std::move(connection));
  }
  returned_.notify_one();
}

absl::StatusOr<PgConnection*> PgPool::Lease::BeginSnapshot(PgDeadline deadline) {
  const auto pause = [](std::chrono::milliseconds time) {
    std::this_thread::sleep_for(time);
    return true;
  };
  while (true) {
    if (connection_ == nullptr) {
      MUSTER_ASSIGN_OR_RETURN(connection_, pool_->connector_.Connect(deadline, pause));
    }
    const absl::Status begun =
        connection_->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").status();
    if (begun.ok()) return connection_.get();
    // One that lay idle may have died; nothing was read yet, so another will do.
    const bool lost = connection_->trouble() == PgConnection::Trouble::kLost;
    connection_.reset();
    if (!lost || std::chrono::steady_clock::now() >= deadline) return begun;
  }
}

}  // namespace muster
