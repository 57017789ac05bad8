#include "coordinator/store/sqlite/cursor.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "proto/core/strings.h"

namespace muster {
namespace {

// SQLite does not always keep the errno of a write that met the process's file-size limit.
bool FileSizeLimitReached(const std::filesystem::path& path) {
  constexpr rlim_t kMargin = 64u << 10;  // the largest step by which SQLite lengthens a file
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat info {};
    const std::string file = path.string() + suffix;
    if (::stat(file.c_str(), &info) == 0 &&
        static_cast<rlim_t>(info.st_size) + kMargin >= limit.rlim_cur) {
      return true;
    }
  }
  return false;
}

bool DiskIsFull(sqlite3* db, int code, const std::filesystem::path& path) {
  if ((code & 0xff) == SQLITE_FULL) return true;
  if ((code & 0xff) != SQLITE_IOERR && (code & 0xff) != SQLITE_CANTOPEN) return false;
  const int error = db == nullptr ? 0 : sqlite3_system_errno(db);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) return true;
  return (code & 0xff) == SQLITE_IOERR && FileSizeLimitReached(path);
}

absl::Status ConstraintStatus(int code, const std::string& message) {
  switch (code) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_UNIQUE:
      return absl::AlreadyExistsError(message);
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return absl::FailedPreconditionError(message);
    default:
      return absl::InvalidArgumentError(message);
  }
}

}  // namespace

absl::Status SqliteStatus(sqlite3* db, int code, std::string_view doing,
                          const std::filesystem::path& path) {
  if (code == SQLITE_OK) return absl::OkStatus();
  const std::string where = StrCat(doing, " ", path.string(), ": ");
  const std::string why = db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db);
  if (DiskIsFull(db, code, path)) {
    return absl::ResourceExhaustedError(
        StrCat(where, "the disk that holds ", path.parent_path().string(),
               " is full; nothing of this write was kept. Free space there and try again"));
  }
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      return ConstraintStatus(code, StrCat(where, why));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(
          StrCat(where, "another program holds a lock on this database; close it (", why, ")"));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(
          StrCat(where, why, "; stop the coordinator and restore the folder from a backup"));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return absl::FailedPreconditionError(
          StrCat(where, why, "; check that the folder exists and that this user may write there"));
    case SQLITE_IOERR: {
      const int error = db == nullptr ? 0 : sqlite3_system_errno(db);
      return absl::UnavailableError(
          StrCat(where, why, error == 0 ? "" : StrCat(" (", std::strerror(error), ")"),
                 "; check the disk"));
    }
    case SQLITE_NOMEM:
      return absl::ResourceExhaustedError(StrCat(where, "out of memory"));
    default:
      return absl::InternalError(StrCat(where, why, " (SQLite code ", code, ")"));
  }
}

bool SqliteCursor::Take() {
  if (in_use_) return false;
  in_use_ = true;
  return true;
}

void SqliteCursor::Reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  next_ = 1;
  bind_ = SQLITE_OK;
  in_use_ = false;
}

void SqliteCursor::BindText(std::string_view text) {
  const char* data = text.data() == nullptr ? "" : text.data();
  Keep(sqlite3_bind_text64(statement_, next_++, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

void SqliteCursor::BindBytes(std::string_view bytes) {
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  Keep(sqlite3_bind_blob64(statement_, next_++, data, bytes.size(), SQLITE_TRANSIENT));
}

void SqliteCursor::BindNull(SqlType /*type*/) { Keep(sqlite3_bind_null(statement_, next_++)); }

void SqliteCursor::BindReal(double real) { Keep(sqlite3_bind_double(statement_, next_++, real)); }

void SqliteCursor::BindNumber(int64_t number) {
  Keep(sqlite3_bind_int64(statement_, next_++, number));
}

absl::StatusOr<bool> SqliteCursor::Step() {
  if (bind_ != SQLITE_OK) return SqliteStatus(db_, bind_, "binding values for", *path_);
  // Where a disk fails, SQLite may end the transaction by itself. Without this check, what its
  // function still writes would become durable alone.
  const bool reads = sqlite3_stmt_readonly(statement_) != 0;
  if (!reads && sqlite3_get_autocommit(db_) != 0) {
    return absl::AbortedError(
        StrCat("writing ", path_->string(), ": the transaction is over, an earlier write failed"));
  }
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return SqliteStatus(db_, code, reads ? "reading" : "writing", *path_);
}

bool SqliteCursor::Null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::optional<int64_t> SqliteCursor::Number(int column) const {
  if (sqlite3_column_type(statement_, column) != SQLITE_INTEGER) return std::nullopt;
  return sqlite3_column_int64(statement_, column);
}

std::optional<double> SqliteCursor::Real(int column) const {
  if (sqlite3_column_type(statement_, column) != SQLITE_FLOAT) return std::nullopt;
  return sqlite3_column_double(statement_, column);
}

std::optional<bool> SqliteCursor::Truth(int column) const {
  const std::optional<int64_t> value = Number(column);
  if (!value.has_value() || (*value != 0 && *value != 1)) return std::nullopt;
  return *value == 1;
}

std::string_view SqliteCursor::Bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, static_cast<size_t>(size));
}

std::string_view SqliteCursor::Name(int column) const {
  return sqlite3_column_name(statement_, column);
}

}  // namespace muster
