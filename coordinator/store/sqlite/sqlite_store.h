// StateStore in one SQLite database: DIR/muster.db with write-ahead logging and synchronous=FULL,
// so a write that was answered OK survives kill -9 and power cuts. One writer thread commits in
// groups; a small pool of connections reads snapshots beside it. DIR/coordinator.lock keeps a
// second process out.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/store/state_store.h"

namespace muster {

inline constexpr size_t kMaxCommitGroup = 512;

inline constexpr char kSqliteFile[] = "muster.db";

struct SqliteOptions {
  std::filesystem::path directory;               // created if missing
  size_t read_connections = 4;                   // Read() calls at one time; more wait
  size_t commit_group = kMaxCommitGroup;         // most functions in one commit; 1: no grouping
  bool migrate = true;                           // false: refuse an older schema
  std::chrono::milliseconds busy_timeout{5000};  // for programs such as sqlite3 that hold a lock
};

// FailedPrecondition when another process has the store, or its schema is newer than this program;
// DataLoss when it is corrupted; ResourceExhausted when the disk is full.
absl::StatusOr<std::unique_ptr<StateStore>> OpenSqliteStore(const SqliteOptions& options);

// The store of a coordinator, for reading only: beside the process that has it too, whose lock it
// does not take. Write() answers FailedPrecondition. NotFound if there is no store in the folder,
// FailedPrecondition for another schema than this program's.
absl::StatusOr<std::unique_ptr<StateStore>> OpenSqliteForReading(const SqliteOptions& options);

}  // namespace muster
