// What backup, restore, migrate and doctor do with the SQLite file itself.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/sql/migration.h"

namespace muster {

// Beside the process that has the store. NotFound without a file.
absl::StatusOr<StoreSchema> InspectSqliteSchema(const std::filesystem::path& file);

// A copy of one committed state, while the store is written to: `out` must not be there, and is
// durable afterwards. The copy has no free pages, and nothing of what was deleted.
absl::Status SnapshotSqlite(const std::filesystem::path& file, const std::filesystem::path& out);

// DataLoss if SQLite finds the file damaged, with what it found.
absl::Status CheckSqliteIntegrity(const std::filesystem::path& file);

}  // namespace muster
