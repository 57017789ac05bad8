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

// The server answered between the two times of this machine; what is outside of them is certain.
Duration Ahead(Timestamp server, Timestamp asked, Timestamp answered) {
  if (server < asked) return server - asked;
  return server > answered ? server - answered : Duration::zero();
}

}  // namespace

absl::StatusOr<StoreSchema> InspectPostgresSchema(const PostgresOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(const PgConnector connector, MakeConnector(options));
  MUSTER_ASSIGN_OR_RETURN(const auto db, FirstConnection(connector, options));
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
  MUSTER_ASSIGN_OR_RETURN(const PgConnector connector, MakeConnector(options));
  MUSTER_ASSIGN_OR_RETURN(const auto db, FirstConnection(connector, options));
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

}  // namespace muster
