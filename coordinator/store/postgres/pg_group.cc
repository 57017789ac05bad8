#include "coordinator/store/postgres/pg_group.h"

#include <chrono>

#include "coordinator/store/reads.h"
#include "coordinator/store/sql/sql_rows.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using Trouble = PgConnection::Trouble;
using End = PgAttempt::End;

constexpr char kBegin[] = "BEGIN ISOLATION LEVEL SERIALIZABLE; ";
constexpr char kSavepoint[] = "SAVEPOINT work; ";
// Known before COMMIT is sent, so that its fate can be asked for.
constexpr char kTransactionId[] = "SELECT pg_current_xact_id()::text";

PgAttempt Ended(PgConnection& db) {
  PgAttempt attempt;
  attempt.error = db.why();
  switch (db.trouble()) {
    case Trouble::kLost:
      attempt.end = End::kLost;
      return attempt;
    case Trouble::kConflict:
      attempt.end = End::kConflict;
      break;
    default:
      attempt.end = End::kRefused;
      break;
  }
  db.Execute("ROLLBACK").IgnoreError();
  db.Forgive();
  return attempt;
}

// Runs one function. False: the whole transaction is over.
bool RunOne(PgConnection& db, PgPending& pending, bool alone) {
  SqlRows rows(db);
  TxOver<SqlRows> tx(rows);
  pending.result = (*pending.work)(tx);
  if (db.trouble() == Trouble::kNone) return true;
  if (db.trouble() != Trouble::kFailed) return false;
  // The function may have passed over the error: what it did cannot be kept all the same.
  if (pending.result.ok()) pending.result = db.why();
  return !alone;
}

}  // namespace

PgAttempt RunPgGroup(PgConnection& db, PgGroup group) {
  const bool alone = group.size() == 1;
  const auto begun = db.Execute(std::string(kBegin) + (alone ? "" : kSavepoint) + kTransactionId);
  if (!begun.ok()) return Ended(db);
  const std::string xid = PQgetvalue(begun->get(), 0, 0);
  bool something_to_commit = false;
  std::string before_commit;
  for (size_t i = 0; i < group.size(); ++i) {
    PgPending& pending = *group[i];
    if (!RunOne(db, pending, alone)) {
      PgAttempt attempt = Ended(db);
      if (attempt.end == End::kRefused) attempt.end = End::kNothingToDo;  // it was alone
      return attempt;
    }
    const bool keep = pending.result.ok();
    something_to_commit |= keep;
    if (alone) break;
    std::string next = keep ? "" : "ROLLBACK TO work; ";
    if (i + 1 == group.size()) {
      before_commit = next;
    } else if (!db.Execute(next + "RELEASE work; SAVEPOINT work").ok()) {
      return Ended(db);
    }
    if (!keep) db.Forgive();
  }
  if (!something_to_commit) {
    db.Execute("ROLLBACK").IgnoreError();
    return {.end = End::kNothingToDo};
  }
  const auto start = std::chrono::steady_clock::now();
  const absl::Status committed = db.Commit(before_commit);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (committed.ok()) return {.end = End::kCommitted, .commit_seconds = seconds};
  if (db.commit_unanswered()) return {.end = End::kInDoubt, .error = committed, .xid = xid};
  PgAttempt attempt = Ended(db);
  attempt.error = committed;
  return attempt;
}

absl::StatusOr<PgFate> FindPgFate(PgConnection& db, const std::string& xid) {
  static constexpr char kStatus[] = "SELECT pg_xact_status(?::text::xid8)";
  MUSTER_ASSIGN_OR_RETURN(Statement find, db.Prepare(kStatus));
  MUSTER_ASSIGN_OR_RETURN(const bool found, find.Bind(xid).Step());
  const std::string status = found ? find.row().Text() : "";
  if (status == "committed") return PgFate::kCommitted;
  if (status == "aborted") return PgFate::kAborted;
  if (status == "in progress") return PgFate::kRunning;
  return PgFate::kUnknown;  // too long ago
}

void EndIdlePgSession(PgConnection& db, int backend_pid, const std::string& xid) {
  static constexpr char kEnd[] =
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ?"
      " AND state LIKE 'idle in transaction%'"
      " AND backend_xid::text::bigint = ?::text::bigint % 4294967296";
  absl::StatusOr<Statement> end = db.Prepare(kEnd);
  if (end.ok()) end->BindAll(backend_pid, xid).Run().IgnoreError();
}

}  // namespace muster
