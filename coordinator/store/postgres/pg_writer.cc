#include "coordinator/store/postgres/pg_writer.h"

#include <algorithm>

#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using SteadyClock = std::chrono::steady_clock;
using End = PgAttempt::End;

// A group that met conflicts is halved then, so that the rest does not suffer from one function.
constexpr int kConflictsTogether = 2;
constexpr int kConflictsAlone = 20;

// The writer whose thread this is.
thread_local const PgWriter* this_threads_writer = nullptr;

absl::Status InDoubt(const std::string& where, std::string_view why) {
  return absl::UnknownError(
      StrCat("PostgreSQL at ", where, ": the connection broke during COMMIT and ", why,
             ": the write may be durable or not. Load again before you repeat it"));
}

}  // namespace

PgWriter::PgWriter(const PgConnector& connector, const PostgresOptions& options)
    : connector_(connector), options_(options) {
  for (size_t i = 0; i < options_.write_connections; ++i) {
    threads_.emplace_back([this] { Loop(); });
  }
}

PgWriter::~PgWriter() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_all();
  stopped_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool PgWriter::OnWriterThread() const { return this_threads_writer == this; }

absl::Status PgWriter::Run(const PgPending::Work& work) {
  const auto pending = std::make_shared<PgPending>(&work);
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(pending);
  }
  arrived_.notify_one();
  pending->answered.acquire();
  return std::move(pending->result);
}

StoreStats PgWriter::Stats() const {
  std::lock_guard lock(mutex_);
  StoreStats stats = stats_;
  stats.waiting = queue_.size();
  return stats;
}

void PgWriter::Loop() {
  this_threads_writer = this;
  Connection db;
  std::vector<std::shared_ptr<PgPending>> group;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const size_t count = std::min(queue_.size(), options_.commit_group);
      group.assign(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(count));
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(count));
    }
    Serve(db, group);
    group.clear();
  }
}

void PgWriter::Serve(Connection& db, PgGroup group) {
  double commit_seconds = 0;
  bool split = false;
  const absl::Status everybody = Settle(db, group, &commit_seconds, &split);
  if (!split) return Answer(group, everybody, commit_seconds);
  const size_t half = group.size() / 2;
  Serve(db, group.subspan(0, half));
  Serve(db, group.subspan(half));
}

absl::Status PgWriter::Settle(Connection& db, PgGroup group, double* commit_seconds, bool* split) {
  const PgDeadline deadline = SteadyClock::now() + options_.away_timeout;
  Backoff backoff;
  for (int conflicts = 0;;) {
    MUSTER_RETURN_IF_ERROR(Connect(db, deadline));
    const PgAttempt attempt = RunPgGroup(*db, group);
    switch (attempt.end) {
      case End::kCommitted:
      case End::kNothingToDo:
        *commit_seconds = attempt.commit_seconds;
        return absl::OkStatus();
      case End::kRefused:
        return attempt.error;
      case End::kConflict:
        ++conflicts;
        *split = group.size() > 1 && conflicts >= kConflictsTogether;
        if (*split || conflicts >= kConflictsAlone) return attempt.error;
        Pause(backoff.Next());
        break;
      case End::kLost:
        if (SteadyClock::now() >= deadline || !Pause(backoff.Next())) return attempt.error;
        break;
      case End::kInDoubt: {
        const absl::Status fate = Resolve(db, attempt.xid);
        if (!absl::IsAborted(fate)) return fate;
        break;  // it was not kept: again
      }
    }
  }
}

absl::Status PgWriter::Connect(Connection& db, PgDeadline deadline) {
  if (db != nullptr && db->trouble() != PgConnection::Trouble::kLost) return absl::OkStatus();
  db.reset();
  MUSTER_ASSIGN_OR_RETURN(db,
                          connector_.Connect(deadline, [this](auto time) { return Pause(time); }));
  return absl::OkStatus();
}

absl::Status PgWriter::Resolve(Connection& db, const std::string& xid) {
  const std::string timeline = db->timeline(), since_recovery = db->since_recovery();
  const int backend = db->backend_pid();
  const PgDeadline deadline = SteadyClock::now() + options_.resolve_timeout;
  const std::string& where = connector_.info().where();
  LogWarning("the connection to the store broke during a commit; asking what became of it",
             {{"store", where}, {"transaction", xid}});
  Backoff backoff;
  while (SteadyClock::now() < deadline) {
    if (!Connect(db, deadline).ok()) break;
    if (db->timeline() != timeline) return InDoubt(where, "another server answers now");
    const absl::StatusOr<PgFate> fate = FindPgFate(*db, xid);
    if (!fate.ok() && db->trouble() != PgConnection::Trouble::kLost) break;
    if (fate.ok() && *fate == PgFate::kCommitted && db->since_recovery() != since_recovery) {
      return InDoubt(where, "the server crashed and may have given its number to another");
    }
    if (fate.ok() && *fate == PgFate::kCommitted) return absl::OkStatus();
    if (fate.ok() && *fate == PgFate::kAborted) return absl::AbortedError("it was not kept");
    if (fate.ok() && *fate == PgFate::kUnknown) break;
    if (fate.ok()) EndIdlePgSession(*db, backend, xid);
    std::this_thread::sleep_for(backoff.Next());
  }
  if (db != nullptr) db->Forgive();
  return InDoubt(where, "the server did not say what became of it");
}

void PgWriter::Answer(PgGroup group, const absl::Status& everybody, double commit_seconds) {
  {
    std::lock_guard lock(mutex_);
    uint64_t succeeded = 0;
    for (const std::shared_ptr<PgPending>& pending : group) {
      if (!everybody.ok()) pending->result = everybody;
      succeeded += pending->result.ok() ? 1 : 0;
    }
    stats_.writes += succeeded;
    stats_.failed_writes += group.size() - succeeded;
    stats_.commits += succeeded > 0 ? 1 : 0;
    stats_.largest_group = std::max(stats_.largest_group, succeeded);
    stats_.commit_seconds += commit_seconds;
  }
  for (const std::shared_ptr<PgPending>& pending : group) pending->answered.release();
}

bool PgWriter::Pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, time, [&] { return stopping_; });
}

}  // namespace muster
