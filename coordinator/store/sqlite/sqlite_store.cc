#include "coordinator/store/sqlite/sqlite_store.h"

#include <system_error>

#include "coordinator/store/reads.h"
#include "coordinator/store/sql/sql_rows.h"
#include "coordinator/store/sqlite/connection.h"
#include "coordinator/store/sqlite/group_writer.h"
#include "coordinator/store/sqlite/lock_file.h"
#include "coordinator/store/sqlite/migrations.h"
#include "coordinator/store/sqlite/reader_pool.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

absl::Status Nested(std::string_view what) {
  return absl::FailedPreconditionError(
      StrCat(what, "() was called from inside Write(); use the transaction that it gives"));
}

absl::Status ReadFrom(ReaderPool& readers,
                      const std::function<absl::Status(const StoreReader&)>& work);

class SqliteStore final : public StateStore {
 public:
  SqliteStore(UniqueFd lock, std::unique_ptr<Connection> connection, const SqliteOptions& options)
      : lock_(std::move(lock)),
        readers_(connection->path(), options.read_connections, options.busy_timeout),
        writer_(std::move(connection), options.commit_group) {}

  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) override {
    if (writer_.OnWriterThread()) return Nested("Write");
    return writer_.Run(work);
  }

  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override {
    if (writer_.OnWriterThread()) return Nested("Read");
    return ReadFrom(readers_, work);
  }

  StoreStats Stats() const override { return writer_.Stats(); }

 private:
  UniqueFd lock_;  // let go last
  mutable ReaderPool readers_;
  GroupWriter writer_;
};

absl::Status ReadFrom(ReaderPool& readers,
                      const std::function<absl::Status(const StoreReader&)>& work) {
  MUSTER_ASSIGN_OR_RETURN(ReaderPool::Lease connection, readers.Take());
  MUSTER_RETURN_IF_ERROR(connection->Run("BEGIN"));
  SqlRows rows(*connection);
  const absl::Status status = work(ReaderOver<SqlRows>(rows));
  const absl::Status end = connection->Run("ROLLBACK");
  return status.ok() ? end : status;
}

class SqliteReader final : public StateStore {
 public:
  SqliteReader(std::filesystem::path path, const SqliteOptions& options)
      : readers_(std::move(path), options.read_connections, options.busy_timeout) {}

  absl::Status Write(const std::function<absl::Status(StoreTx&)>&) override {
    return absl::FailedPreconditionError("the store was opened for reading only");
  }
  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override {
    return ReadFrom(readers_, work);
  }
  StoreStats Stats() const override { return {}; }

 private:
  mutable ReaderPool readers_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StateStore>> OpenSqliteForReading(const SqliteOptions& options) {
  const std::filesystem::path path = options.directory / kSqliteFile;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return absl::NotFoundError(StrCat("there is no store in ", options.directory.string()));
  }
  MUSTER_ASSIGN_OR_RETURN(
      const std::unique_ptr<Connection> connection,
      Connection::Open(path, Connection::Mode::kReadOnly, options.busy_timeout));
  MUSTER_RETURN_IF_ERROR(CheckSchema(*connection, EmbeddedMigrations()));
  return std::make_unique<SqliteReader>(path, options);
}

absl::StatusOr<std::unique_ptr<StateStore>> OpenSqliteStore(const SqliteOptions& options) {
  if (options.read_connections == 0 || options.commit_group == 0) {
    return absl::InvalidArgumentError(
        "the store needs at least one read connection and one function in a commit");
  }
  std::error_code error;
  std::filesystem::create_directories(options.directory, error);
  if (error) return ErrnoStatus(error.value(), "creating folder", options.directory);
  MUSTER_ASSIGN_OR_RETURN(UniqueFd lock, LockFolder(options.directory));
  const std::filesystem::path path = options.directory / kSqliteFile;
  MUSTER_ASSIGN_OR_RETURN(
      std::unique_ptr<Connection> connection,
      Connection::Open(path, Connection::Mode::kReadWrite, options.busy_timeout));
  MUSTER_RETURN_IF_ERROR(options.migrate ? Migrate(*connection, EmbeddedMigrations())
                                         : CheckSchema(*connection, EmbeddedMigrations()));
  // The file's own entry in the folder; SQLite sees to the rest.
  MUSTER_RETURN_IF_ERROR(FsyncDirectory(options.directory));
  return std::make_unique<SqliteStore>(std::move(lock), std::move(connection), options);
}

}  // namespace muster
