// The first connection to a store's database, for whoever opens the store or looks at it.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/store/postgres/pg_connect.h"
#include "coordinator/store/postgres/postgres_store.h"

namespace muster {

absl::StatusOr<PgConnector> MakeConnector(const PostgresOptions& options);
// Waits for the server up to `options.away_timeout`.
absl::StatusOr<std::unique_ptr<PgConnection>> FirstConnection(const PgConnector& connector,
                                                              const PostgresOptions& options);
// The same for whoever needs one connection and no more.
absl::StatusOr<std::unique_ptr<PgConnection>> FirstConnection(const PostgresOptions& options);

}  // namespace muster
