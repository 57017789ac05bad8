#include "coordinator/store/sqlite/connection.h"

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

// A WAL that a burst made long shrinks to this at the next checkpoint.
constexpr char kPragmas[] =
    "PRAGMA trusted_schema=OFF;"
    "PRAGMA foreign_keys=ON;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA temp_store=MEMORY;"
    // What is deleted, such as the shares of a session, is overwritten.
    "PRAGMA secure_delete=ON;"
    "PRAGMA journal_size_limit=67108864;";

int KeepFirstColumn(void* out, int /*columns*/, char** values, char** /*names*/) {
  *static_cast<std::string*>(out) = values[0] == nullptr ? "" : values[0];
  return 0;
}

absl::Status SwitchToWal(sqlite3* db, const std::filesystem::path& path) {
  std::string mode;
  const int code = sqlite3_exec(db, "PRAGMA journal_mode=WAL", KeepFirstColumn, &mode, nullptr);
  if (code != SQLITE_OK) return SqliteStatus(db, code, "opening", path);
  if (mode == "wal") return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat(path.string(), ": this file system offers no shared memory for write-ahead ",
             "logging (journal mode '", mode, "'); use a local disk"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(
    const std::filesystem::path& path, Mode mode, std::chrono::milliseconds busy_timeout) {
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (mode == Mode::kReadWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                              : SQLITE_OPEN_READONLY);
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  std::unique_ptr<Connection> connection(new Connection(db, path));
  if (code != SQLITE_OK) return SqliteStatus(db, code, "opening", path);
  sqlite3_busy_timeout(db, static_cast<int>(busy_timeout.count()));
  MUSTER_RETURN_IF_ERROR(connection->Execute(kPragmas));
  if (mode == Mode::kReadWrite) MUSTER_RETURN_IF_ERROR(SwitchToWal(db, path));
  return connection;
}

Connection::~Connection() {
  cache_.clear();
  sqlite3_close(db_);
}

absl::Status Connection::Execute(const char* sql) {
  return SqliteStatus(db_, sqlite3_exec(db_, sql, nullptr, nullptr, nullptr), "writing", path_);
}

absl::Status Connection::Run(std::string_view sql) {
  MUSTER_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  return statement.Run();
}

absl::StatusOr<Statement> Connection::Prepare(std::string_view sql) {
  std::unique_ptr<SqliteCursor>& cached = cache_[sql];
  if (cached == nullptr) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return SqliteStatus(db_, code, "reading", path_);
    cached = std::make_unique<SqliteCursor>(db_, statement, &path_);
  }
  if (!cached->Take()) {
    return absl::InternalError(StrCat("the statement is in use already: ", sql));
  }
  return Statement(cached.get());
}

}  // namespace muster
