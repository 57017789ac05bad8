// One transaction for a group of functions that wait together.
#pragma once

#include <functional>
#include <memory>
#include <semaphore>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "coordinator/store/postgres/pg_connection.h"
#include "coordinator/store/state_store.h"

namespace muster {

// A function that waits for its commit.
struct PgPending {
  using Work = std::function<absl::Status(StoreTx&)>;

  explicit PgPending(const Work* w) : work(w) {}

  const Work* work;
  absl::Status result;
  std::binary_semaphore answered{0};
};

using PgGroup = std::span<const std::shared_ptr<PgPending>>;

struct PgAttempt {
  enum class End {
    kCommitted,    // each function's result is its own
    kNothingToDo,  // no function wants to be kept; each result is its own
    kRefused,      // `error` is everybody's, and nothing was kept
    kConflict,     // nothing was kept; it may succeed when it runs again
    kLost,         // the connection broke before COMMIT: nothing was kept
    kInDoubt,      // it broke during COMMIT: what became of transaction `xid` has to be asked
  };
  End end = End::kCommitted;
  absl::Status error;
  std::string xid;
  double commit_seconds = 0;
};

// Runs the functions in one serializable transaction, each behind a savepoint, and commits what
// those did that succeeded. The connection is without a transaction afterwards, or broken.
PgAttempt RunPgGroup(PgConnection& db, PgGroup group);

// What became of a transaction whose COMMIT was not answered.
enum class PgFate { kCommitted, kAborted, kRunning, kUnknown };
absl::StatusOr<PgFate> FindPgFate(PgConnection& db, const std::string& xid);
// Where the server still waits for the client of `xid`, which is gone: it shall not wait longer. A
// commit that is under way is left alone.
void EndIdlePgSession(PgConnection& db, int backend_pid, const std::string& xid);

}  // namespace muster
