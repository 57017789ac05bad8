#include "coordinator/store/postgres/pg_connection.h"

#include "coordinator/store/postgres/pg_status.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr int kOldestServer = 150'000;  // 15.0, as PQserverVersion() counts

// libpq's messages end with a line break and may have several lines.
std::string OneLine(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char& c : text) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return text;
}

void LogNotice(void* /*unused*/, const PGresult* notice) {
  const char* text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
  LogDebug("postgres notice", {{"text", text == nullptr ? "" : text}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<PgConnection>> PgConnection::Open(
    std::shared_ptr<const ConnInfo> info, const PgTimeouts& timeouts) {
  const ConnInfo::Parameters parameters = info->parameters();
  PGconn* handle =
      PQconnectdbParams(parameters.keywords.data(), parameters.values.data(), /*expand_dbname=*/0);
  std::unique_ptr<PgConnection> connection(new PgConnection(handle, std::move(info)));
  if (handle == nullptr) return absl::ResourceExhaustedError("out of memory");
  if (PQstatus(handle) != CONNECTION_OK) return connection->ConnectionStatus("connecting to");
  MUSTER_RETURN_IF_ERROR(connection->SetUp(timeouts));
  return connection;
}

PgConnection::~PgConnection() {
  cache_.clear();
  PQfinish(connection_);
}

absl::Status PgConnection::SetUp(const PgTimeouts& timeouts) {
  PQsetNoticeReceiver(connection_, LogNotice, nullptr);
  if (PQserverVersion(connection_) < kOldestServer) {
    return absl::FailedPreconditionError(StrCat("PostgreSQL at ", info_->where(), " is version ",
                                                PQserverVersion(connection_) / 10'000,
                                                "; Muster needs 15 or newer"));
  }
  // Index scans and plans that do not depend on the values: what a transaction read is then noted
  // row by row, so that two replicas seldom stand in each other's way.
  MUSTER_ASSIGN_OR_RETURN(
      const PgResult result,
      Execute(StrCat(
          "SET statement_timeout = ", timeouts.statement.count(),
          "; SET lock_timeout = ", timeouts.lock.count(),
          "; SET idle_in_transaction_session_timeout = ", timeouts.idle_in_transaction.count(),
          "; SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;"
          // An acknowledged write is durable, whatever the server's default is.
          " SELECT set_config('synchronous_commit', 'on', false)"
          " WHERE current_setting('synchronous_commit') IN ('off', 'local');"
          " SELECT CASE WHEN pg_is_in_recovery() THEN ''"
          " ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,"
          " (SELECT system_identifier FROM pg_control_system()),"
          // Statistics are kept over a shutdown, and begin anew when the server recovers.
          " (SELECT stats_reset FROM pg_stat_wal)")));
  const std::string_view history = PQgetvalue(result.get(), 0, 0);
  if (history.empty()) {
    return absl::UnavailableError(
        StrCat("PostgreSQL at ", info_->where(),
               " is a standby and takes no writes; name all servers in the URL and add "
               "target_session_attrs=read-write"));
  }
  timeline_ = StrCat(history, "/", PQgetvalue(result.get(), 0, 1));
  since_recovery_ = PQgetvalue(result.get(), 0, 2);
  return absl::OkStatus();
}

absl::StatusOr<PgResult> PgConnection::Execute(const std::string& sql) {
  return Checked(PQexec(connection_, sql.c_str()));
}

absl::StatusOr<Statement> PgConnection::Prepare(std::string_view sql) {
  std::unique_ptr<PgCursor>& cached = cache_[sql];
  if (cached == nullptr) {
    cached = std::make_unique<PgCursor>(*this, sql, StrCat("muster_", cache_.size()));
  }
  if (!cached->Take()) {
    return absl::InternalError(StrCat("the statement is in use already: ", sql));
  }
  return Statement(cached.get());
}

absl::Status PgConnection::PrepareOnServer(const std::string& name, const std::string& sql,
                                           const std::vector<Oid>& types) {
  return Checked(PQprepare(connection_, name.c_str(), sql.c_str(), static_cast<int>(types.size()),
                           types.data()))
      .status();
}

absl::StatusOr<PgResult> PgConnection::ExecutePrepared(const std::string& name,
                                                       const std::vector<const char*>& values,
                                                       const std::vector<int>& lengths,
                                                       const std::vector<int>& formats) {
  return Checked(PQexecPrepared(connection_, name.c_str(), static_cast<int>(values.size()),
                                values.data(), lengths.data(), formats.data(),
                                /*resultFormat=*/1));
}

void PgConnection::Forgive() {
  if (trouble_ == Trouble::kLost) return;
  trouble_ = Trouble::kNone;
  why_ = absl::OkStatus();
}

absl::Status PgConnection::Commit(const std::string& before) {
  absl::StatusOr<PgResult> result = Execute(before + "COMMIT");
  commit_unanswered_ = !result.ok() && trouble_ == Trouble::kLost;
  if (!result.ok()) return result.status();
  // COMMIT of a transaction that failed before is answered so, and without an error.
  if (std::string_view(PQcmdStatus(result->get())) == "COMMIT") return absl::OkStatus();
  return absl::AbortedError(StrCat("writing PostgreSQL at ", info_->where(),
                                   ": an earlier statement of the transaction failed"));
}

absl::StatusOr<PgResult> PgConnection::Checked(PGresult* raw) {
  PgResult result(raw);
  const ExecStatusType status = PQresultStatus(raw);  // a null result is a fatal error
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return result;
  const char* code = raw == nullptr ? nullptr : PQresultErrorField(raw, PG_DIAG_SQLSTATE);
  const std::string state = code == nullptr ? "" : code;
  if (PQstatus(connection_) != CONNECTION_OK || state.empty() || IsAway(state)) {
    return Note(ConnectionStatus("using"), Trouble::kLost);
  }
  const char* text = PQresultErrorField(raw, PG_DIAG_MESSAGE_PRIMARY);
  const std::string why = info_->Redacted(OneLine(text == nullptr ? "no reason given" : text));
  return Note(PgStatus(state, why, StrCat("PostgreSQL at ", info_->where())),
              IsConflict(state) ? Trouble::kConflict : Trouble::kFailed);
}

absl::Status PgConnection::Note(absl::Status status, Trouble trouble) {
  if (trouble_ == Trouble::kNone) why_ = status;
  if (trouble_ == Trouble::kNone || trouble == Trouble::kLost) trouble_ = trouble;
  return status;
}

absl::Status PgConnection::ConnectionStatus(std::string_view doing) const {
  const std::string why = info_->Redacted(OneLine(PQerrorMessage(connection_)));
  return PgStatus("", why.empty() ? "no reason given" : why,
                  StrCat(doing, " PostgreSQL at ", info_->where()));
}

}  // namespace muster
