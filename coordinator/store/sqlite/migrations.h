// The schema of SQLite as numbered steps.
#pragma once

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/store/sql/migration.h"
#include "coordinator/store/sqlite/connection.h"

namespace muster {

const std::vector<Migration>& EmbeddedMigrations();

// The version that the database has; 0 for an empty one. FailedPrecondition for a database of
// another program.
absl::StatusOr<int64_t> SchemaVersion(Connection& connection);

// OK if the database has the newest schema of `migrations`; FailedPrecondition, with what to do, if
// it is older or newer.
absl::Status CheckSchema(Connection& connection, std::span<const Migration> migrations);

// Brings the database to the newest schema, each step in a transaction of its own.
// FailedPrecondition for a schema that is newer than `migrations`, or a database of another
// program.
absl::Status Migrate(Connection& connection, std::span<const Migration> migrations);

}  // namespace muster
