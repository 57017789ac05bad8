// StateStore in PostgreSQL 15 or newer, for any number of replicas over one database.
//
// Write() runs in serializable transactions: replicas see each other's writes as if one had run
// after the other, and a function that loses against another one runs again. One thread writes and
// commits in groups; a small pool of connections reads snapshots. What was answered OK is
// durable on the server (synchronous_commit); for a server that may be replaced by a standby, set
// up synchronous replication.
//
// A connection that breaks is replaced, with pauses that grow and spread; Write() and Read() wait
// up to `away_timeout` for the server, and then answer Unavailable. A connection that breaks during
// COMMIT is resolved by asking the server what became of the transaction.
//
// It speaks to the server itself, or through a pooler in session mode: prepared statements, LISTEN
// and session settings do not survive a pooler's transaction mode.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/store/state_store.h"

namespace muster {

// A transaction with more savepoints that wrote makes every snapshot on the server slower.
inline constexpr size_t kMaxPostgresCommitGroup = 60;

struct PostgresOptions {
  // postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE: libpq's URL. Without
  // sslmode, a server that is not on this machine must prove who it is (verify-full).
  std::string url;
  bool migrate = true;                            // false: refuse an older schema
  size_t read_connections = 4;                    // Read() calls at one time; more wait
  size_t write_connections = 2;                   // transactions that write at one time
  size_t commit_group = kMaxPostgresCommitGroup;  // most functions in one commit; 1: no grouping
  std::chrono::milliseconds statement_timeout{30'000};
  std::chrono::milliseconds lock_timeout{5'000};
  std::chrono::milliseconds idle_in_transaction_timeout{60'000};
  std::chrono::milliseconds away_timeout{10'000};     // for the server to come back
  std::chrono::milliseconds resolve_timeout{30'000};  // to learn what became of a commit
};

// InvalidArgument for a URL that cannot be read; FailedPrecondition for a server older than 15, a
// schema that is newer than this program, or a database of another program; Unavailable when the
// server is not there or refuses. No error repeats the password.
absl::StatusOr<std::unique_ptr<StateStore>> OpenPostgresStore(const PostgresOptions& options);

}  // namespace muster
