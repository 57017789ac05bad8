// The schema of PostgreSQL as numbered steps, run under an advisory lock so that any number of
// replicas may start at once.
#pragma once

#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/postgres/pg_connection.h"
#include "coordinator/store/sql/migration.h"

namespace muster {

const std::vector<Migration>& PostgresMigrations();

// The step that the current schema (the first of search_path that exists) has; 0 for an empty one.
// FailedPrecondition if it holds another program's tables, or does not exist.
absl::StatusOr<int64_t> SchemaVersion(PgConnection& db);

// OK if that is the newest of `migrations`; FailedPrecondition, with what to do, otherwise.
absl::Status CheckSchema(PgConnection& db, std::span<const Migration> migrations);

// Brings the current schema to the newest step, each step in a transaction of its own.
// FailedPrecondition for a schema that is newer than `migrations`, holds another program's tables,
// or does not exist.
absl::Status MigratePostgres(PgConnection& db, std::span<const Migration> migrations);

}  // namespace muster
