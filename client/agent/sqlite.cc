#include "client/agent/sqlite.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "client/agent/text.h"
#include "proto/core/files.h"
#include "proto/core/status.h"

namespace muster {

using text::Cat;

namespace {

// Quotas and file-size limits reach SQLite as plain I/O errors without their cause: whether a page
// can be written beside the database tells.
bool NothingFits(const std::filesystem::path& path) {
  const std::string probe = path.string() + ".probe";
  const UniqueFd fd(open(probe.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const std::string page(4096, 'x');
  const bool full = (!fd.valid() || write(fd.get(), page.data(), page.size()) !=
                                        static_cast<ssize_t>(page.size())) &&
                    (errno == ENOSPC || errno == EDQUOT || errno == EFBIG);
  unlink(probe.c_str());
  return full;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(
    const std::filesystem::path& path) {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  std::unique_ptr<SqliteDatabase> db(new SqliteDatabase(raw, path));
  if (code != SQLITE_OK) return db->Error(code, "opening");
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, 2000);
  // Small pages in memory: the agent must stay small.
  for (const char* pragma :
       {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA cache_size=-256",
        "PRAGMA wal_autocheckpoint=128", "PRAGMA foreign_keys=ON"}) {
    MUSTER_RETURN_IF_ERROR(db->Execute(pragma));
  }
  return db;
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close_v2(db_); }

absl::Status SqliteDatabase::Execute(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, sql);
}

absl::StatusOr<SqliteStatement> SqliteDatabase::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) return Error(code, sql);
  return SqliteStatement(this, statement);
}

absl::Status SqliteDatabase::Error(int code, std::string_view what) const {
  const int primary = code & 0xff;
  if (primary == SQLITE_FULL || (primary == SQLITE_IOERR && NothingFits(path_))) {
    return absl::ResourceExhaustedError(
        Cat("the disk under ", path_.string(),
            " is full: free some space and the agent goes on by itself; nothing that was recorded "
            "is lost"));
  }
  std::string message = Cat("journal ", path_.string(), ": ", what, ": ", sqlite3_errmsg(db_));
  if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED) {
    return absl::UnavailableError(
        Cat(message, ": another process holds it; end the other agent of this state_dir"));
  }
  if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) {
    return absl::DataLossError(Cat(message, ": move the file away to start with an empty journal"));
  }
  return absl::InternalError(message);
}

SqliteStatement& SqliteStatement::Bind(int64_t value) {
  sqlite3_bind_int64(statement_.get(), ++bound_, value);
  return *this;
}

SqliteStatement& SqliteStatement::Bind(std::string_view blob) {
  sqlite3_bind_blob64(statement_.get(), ++bound_, blob.data() == nullptr ? "" : blob.data(),
                      blob.size(), SQLITE_TRANSIENT);
  return *this;
}

absl::StatusOr<bool> SqliteStatement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return db_->Error(code, sqlite3_sql(statement_.get()));
}

absl::Status SqliteStatement::Run() {
  for (;;) {
    MUSTER_ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return absl::OkStatus();
  }
}

int64_t SqliteStatement::Integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string SqliteStatement::Blob(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr ? std::string() : std::string(data, static_cast<size_t>(size));
}

absl::StatusOr<SqliteTransaction> SqliteTransaction::Begin(SqliteDatabase& db) {
  MUSTER_RETURN_IF_ERROR(db.Execute("BEGIN IMMEDIATE"));
  return SqliteTransaction(&db);
}

SqliteTransaction::~SqliteTransaction() {
  // Some errors, such as a full disk, roll back by themselves: then this one finds nothing to do.
  if (db_ != nullptr) db_->Execute("ROLLBACK").IgnoreError();
}

absl::Status SqliteTransaction::Commit() {
  MUSTER_RETURN_IF_ERROR(db_->Execute("COMMIT"));
  db_ = nullptr;
  return absl::OkStatus();
}

}  // namespace muster
