#include "coordinator/store/postgres/pg_first.h"

#include <thread>

#include "proto/core/status.h"

namespace muster {

absl::StatusOr<PgConnector> MakeConnector(const PostgresOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(std::shared_ptr<const ConnInfo> info, ConnInfo::Parse(options.url));
  return PgConnector(std::move(info), {.statement = options.statement_timeout,
                                       .lock = options.lock_timeout,
                                       .idle_in_transaction = options.idle_in_transaction_timeout});
}

absl::StatusOr<std::unique_ptr<PgConnection>> FirstConnection(const PgConnector& connector,
                                                              const PostgresOptions& options) {
  return connector.Connect(std::chrono::steady_clock::now() + options.away_timeout,
                           [](std::chrono::milliseconds time) {
                             std::this_thread::sleep_for(time);
                             return true;
                           });
}

absl::StatusOr<std::unique_ptr<PgConnection>> FirstConnection(const PostgresOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(const PgConnector connector, MakeConnector(options));
  return FirstConnection(connector, options);
}

}  // namespace muster
