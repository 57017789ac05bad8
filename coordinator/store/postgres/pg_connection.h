// One connection to a PostgreSQL server, and the transaction on it. For one thread at a time.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/postgres/conninfo.h"
#include "coordinator/store/postgres/pg_cursor.h"
#include "coordinator/store/sql/statement.h"

namespace muster {

// How long the server lets one thing take; it ends what takes longer.
struct PgTimeouts {
  std::chrono::milliseconds statement{30'000};
  std::chrono::milliseconds lock{5'000};
  std::chrono::milliseconds idle_in_transaction{60'000};
};

class PgConnection final : public Database {
 public:
  // Unavailable when the server cannot be reached or refuses, FailedPrecondition when it is older
  // than PostgreSQL 15.
  static absl::StatusOr<std::unique_ptr<PgConnection>> Open(std::shared_ptr<const ConnInfo> info,
                                                            const PgTimeouts& timeouts);
  ~PgConnection() override;
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  // Any number of statements without parameters, in one journey; the answer is of the last one.
  absl::StatusOr<PgResult> Execute(const std::string& sql);
  absl::StatusOr<Statement> Prepare(std::string_view sql) override;
  bool ManyWriters() const override { return true; }

  // What happened to the transaction since Forgive(): a function that passes over an error must
  // not make the rest of its work durable.
  enum class Trouble {
    kNone,
    kFailed,    // a statement failed; nothing but ROLLBACK works
    kConflict,  // the same transaction may succeed when it runs again
    kLost,      // the connection is gone, and the transaction with it
  };
  Trouble trouble() const { return trouble_; }
  const absl::Status& why() const { return why_; }  // of the first trouble
  void Forgive();                                   // after a rollback; a lost connection stays so

  // COMMIT was sent and nobody knows what became of it.
  bool commit_unanswered() const { return commit_unanswered_; }
  // Sends `before`, statements that end with ';' or none, and COMMIT. OK once it is durable.
  // Aborted or another error if it is certain that nothing was kept; Unavailable with
  // commit_unanswered() if not.
  absl::Status Commit(const std::string& before);

  int backend_pid() const { return PQbackendPID(connection_); }
  // The history that the server writes: another one after a standby took over.
  const std::string& timeline() const { return timeline_; }
  // The server's time since it last had to recover. A server that crashes gives the numbers of
  // transactions that it had not written down to others.
  const std::string& since_recovery() const { return since_recovery_; }
  int socket() const { return PQsocket(connection_); }
  PGconn* handle() { return connection_; }
  const ConnInfo& info() const { return *info_; }

  // For PgCursor.
  absl::Status PrepareOnServer(const std::string& name, const std::string& sql,
                               const std::vector<Oid>& types);
  absl::StatusOr<PgResult> ExecutePrepared(const std::string& name,
                                           const std::vector<const char*>& values,
                                           const std::vector<int>& lengths,
                                           const std::vector<int>& formats);

 private:
  PgConnection(PGconn* connection, std::shared_ptr<const ConnInfo> info)
      : connection_(connection), info_(std::move(info)) {}
  absl::Status SetUp(const PgTimeouts& timeouts);
  absl::StatusOr<PgResult> Checked(PGresult* result);
  absl::Status Note(absl::Status status, Trouble trouble);
  absl::Status ConnectionStatus(std::string_view doing) const;

  PGconn* connection_;
  std::shared_ptr<const ConnInfo> info_;
  Trouble trouble_ = Trouble::kNone;
  absl::Status why_;
  std::string timeline_, since_recovery_;
  bool commit_unanswered_ = false;
  std::unordered_map<std::string_view, std::unique_ptr<PgCursor>> cache_;
};

}  // namespace muster
