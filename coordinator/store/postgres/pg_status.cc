#include "coordinator/store/postgres/pg_status.h"

#include "proto/core/strings.h"

namespace muster {

// Appendix A of PostgreSQL's manual names the states.
bool IsConflict(std::string_view state) {
  return state == "40001"     // serialization_failure
         || state == "40P01"  // deadlock_detected
         || state == "55P03"  // lock_not_available: lock_timeout
      ;
}

bool IsAway(std::string_view state) {
  return state.starts_with("08")  // connection_exception
         || state == "57P01"      // admin_shutdown
         || state == "57P02"      // crash_shutdown
         || state == "57P03"      // cannot_connect_now
         || state == "57P05"      // idle_session_timeout
         || state == "25P03"      // idle_in_transaction_session_timeout
         || state == "25006"      // read_only_sql_transaction: a standby
      ;
}

absl::Status PgStatus(std::string_view state, const std::string& why, const std::string& where) {
  const std::string text = StrCat(where, ": ", why);
  if (state.empty()) return absl::UnavailableError(text);
  if (IsAway(state)) {
    return absl::UnavailableError(StrCat(text, "; the store is away for the moment, try again"));
  }
  if (IsConflict(state)) {
    return absl::AbortedError(StrCat(text, "; somebody else's write came first, try again"));
  }
  if (state == "57014") {  // query_canceled: statement_timeout
    return absl::UnavailableError(StrCat(text, "; the database is slow or overloaded"));
  }
  if (state == "25P02") {  // in_failed_sql_transaction
    return absl::AbortedError(
        StrCat(where, ": the transaction is over, an earlier statement of it failed"));
  }
  if (state == "23505") return absl::AlreadyExistsError(text);
  if (state == "23503") return absl::FailedPreconditionError(text);
  if (state.starts_with("23") || state.starts_with("22")) return absl::InvalidArgumentError(text);
  if (state == "53100") {  // disk_full
    return absl::ResourceExhaustedError(
        StrCat(text, "; nothing of this write was kept. Free space on the database's disk"));
  }
  if (state.starts_with("53")) {  // insufficient_resources: too_many_connections, out_of_memory
    return absl::UnavailableError(
        StrCat(text, "; raise the server's limits, or run fewer replicas"));
  }
  if (state.starts_with("XX")) {
    return absl::DataLossError(StrCat(text, "; look at the server's log, restore a backup"));
  }
  if (state == "42501") {  // insufficient_privilege
    return absl::FailedPreconditionError(
        StrCat(text, "; the coordinator's role must own the schema that it works in"));
  }
  return absl::InternalError(StrCat(text, " (SQLSTATE ", state, ")"));
}

}  // namespace muster
