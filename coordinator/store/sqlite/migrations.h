// The schema of SQLite as numbered steps.
#pragma once

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/store/sql/migration.h"
#include "coordinator/store/sqlite/connection.h"

namespace muster {

const std::vector<Migration>& EmbeddedMigrations();

// Brings the database to the newest schema, each step in a transaction of its own.
// FailedPrecondition for a schema that is newer than `migrations`, or a database of another
// program.
absl::Status Migrate(Connection& connection, std::span<const Migration> migrations);

}  // namespace muster
