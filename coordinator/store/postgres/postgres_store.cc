#include "coordinator/store/postgres/postgres_store.h"

#include "coordinator/store/postgres/hint_channel.h"
#include "coordinator/store/postgres/pg_connect.h"
#include "coordinator/store/postgres/pg_first.h"
#include "coordinator/store/postgres/pg_migrations.h"
#include "coordinator/store/postgres/pg_pool.h"
#include "coordinator/store/postgres/pg_writer.h"
#include "coordinator/store/reads.h"
#include "coordinator/store/sql/sql_rows.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using SteadyClock = std::chrono::steady_clock;

absl::Status Nested(std::string_view what) {
  return absl::FailedPreconditionError(
      StrCat(what, "() was called from inside Write(); use the transaction that it gives"));
}

class PostgresStore final : public StateStore {
 public:
  PostgresStore(PgConnector connector, const PostgresOptions& options)
      : connector_(std::move(connector)),
        away_timeout_(options.away_timeout),
        readers_(connector_, options.read_connections),
        hints_(connector_),
        writer_(connector_, options) {}

  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) override {
    if (writer_.OnWriterThread()) return Nested("Write");
    return writer_.Run(work);
  }

  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override {
    if (writer_.OnWriterThread()) return Nested("Read");
    PgPool::Lease lease = readers_.Take();
    MUSTER_ASSIGN_OR_RETURN(PgConnection * db,
                            lease.BeginSnapshot(SteadyClock::now() + away_timeout_));
    SqlRows rows(*db);
    const absl::Status status = work(ReaderOver<SqlRows>(rows));
    // A function that passed over an error saw less than it believes.
    const absl::Status trouble = db->why();
    db->Execute("ROLLBACK").IgnoreError();
    db->Forgive();
    return status.ok() ? trouble : status;
  }

  StoreStats Stats() const override { return writer_.Stats(); }

  void Hint(const std::vector<std::string>& keys) override { hints_.Send(keys); }
  void OnHint(HintCallback callback) override { hints_.Listen(std::move(callback)); }

 private:
  const PgConnector connector_;
  const std::chrono::milliseconds away_timeout_;
  mutable PgPool readers_;
  HintChannel hints_;
  PgWriter writer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StateStore>> OpenPostgresStore(const PostgresOptions& options) {
  if (options.read_connections == 0 || options.write_connections == 0 ||
      options.commit_group == 0) {
    return absl::InvalidArgumentError(
        "the store needs at least one connection to read, one to write, and one function in a"
        " commit");
  }
  MUSTER_ASSIGN_OR_RETURN(PgConnector connector, MakeConnector(options));
  MUSTER_ASSIGN_OR_RETURN(const auto db, FirstConnection(connector, options));
  MUSTER_RETURN_IF_ERROR(options.migrate ? MigratePostgres(*db, PostgresMigrations())
                                         : CheckSchema(*db, PostgresMigrations()));
  return std::make_unique<PostgresStore>(std::move(connector), options);
}

}  // namespace muster
