// Looks at a PostgreSQL store beside whoever has it, and changes nothing. Errors as
// OpenPostgresStore(): a server that is away, older than 15, or a standby.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/store/database_state.h"
#include "coordinator/store/postgres/postgres_store.h"
#include "coordinator/store/sql/migration.h"

namespace muster {

absl::StatusOr<StoreSchema> InspectPostgresSchema(const PostgresOptions& options);

absl::StatusOr<DatabaseState> InspectPostgres(const PostgresOptions& options);

// FailedPrecondition, naming them, while coordinators have sessions in the database: those that are
// called kApplicationName there, or as this program's own. It cannot tell schemas apart.
absl::Status CheckNoSessions(const PostgresOptions& options);

}  // namespace muster
