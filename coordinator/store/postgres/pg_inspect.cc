#include "coordinator/store/postgres/pg_inspect.h"

#include "coordinator/store/postgres/pg_first.h"
#include "coordinator/store/postgres/pg_migrations.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

struct Answer {
  DatabaseState state;
  Timestamp at;  // by the server's clock
};

Answer ReadAnswer(Row& row) {
  Answer answer;
  answer.state.name = row.Text();
  answer.state.bytes = row.U64();
  answer.state.read_only = row.Bool();
  answer.at = row.Time();
  return answer;
}

std::string ReadSession(Row& row) {
  const int64_t pid = row.I64();
  const std::string user = row.Text(), from = row.Text();
  return StrCat("pid ", pid, " of role ", user, from.empty() ? "" : StrCat(" from ", from));
}

// The server answered between the two times of this machine; what is outside of them is certain.
Duration Ahead(Timestamp server, Timestamp asked, Timestamp answered) {
  if (server < asked) return server - asked;
  return server > answered ? server - answered : Duration::zero();
}

}  // namespace

absl::StatusOr<StoreSchema> InspectPostgresSchema(const PostgresOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(const auto db, FirstConnection(options));
  MUSTER_ASSIGN_OR_RETURN(const int64_t found, SchemaVersion(*db));
  return CompareSchema(found, PostgresMigrations());
}

absl::StatusOr<DatabaseState> InspectPostgres(const PostgresOptions& options) {
  // Some packagers add a word to the version.
  static constexpr char kAsk[] =
      "SELECT split_part(current_setting('server_version'), ' ', 1),"
      " pg_database_size(current_database()),"
      " current_setting('default_transaction_read_only') = 'on',"
      " (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
  MUSTER_ASSIGN_OR_RETURN(const auto db, FirstConnection(options));
  MUSTER_ASSIGN_OR_RETURN(Statement ask, db->Prepare(kAsk));
  SystemClock clock;
  const Timestamp asked = clock.Now();
  MUSTER_ASSIGN_OR_RETURN(std::optional<Answer> answer, ask.One(ReadAnswer));
  const Timestamp answered = clock.Now();
  if (!answer.has_value()) return absl::InternalError("PostgreSQL says nothing of itself");
  DatabaseState state = std::move(answer->state);
  state.name = StrCat("PostgreSQL ", state.name, " at ", db->info().where());
  state.clock_ahead = Ahead(answer->at, asked, answered);
  return state;
}

absl::Status CheckNoSessions(const PostgresOptions& options) {
  // The address of another role's session is shown to superusers and monitors only.
  static constexpr char kFind[] =
      "SELECT pid::bigint, usename::text, coalesce(host(client_addr), '') FROM pg_stat_activity"
      " WHERE datname = current_database() AND pid <> pg_backend_pid()"
      " AND application_name IN (?, current_setting('application_name')) ORDER BY pid";
  MUSTER_ASSIGN_OR_RETURN(const auto db, FirstConnection(options));
  MUSTER_ASSIGN_OR_RETURN(Statement find, db->Prepare(kFind));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::string> sessions,
                          find.Bind(kApplicationName).All(ReadSession));
  if (sessions.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(StrCat("coordinators are connected to PostgreSQL at ",
                                              db->info().where(), ": ", StrJoin(sessions, ", "),
                                              "; stop all that use this database first"));
}

}  // namespace muster
