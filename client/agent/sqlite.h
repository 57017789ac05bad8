// The little of SQLite that the journal needs: a durable database, statements that bind and read,
// transactions that roll back unless committed. One thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

class SqliteStatement;

class SqliteDatabase {
 public:
  // WAL, synchronous=FULL: a committed transaction survives a power cut.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::filesystem::path& path);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  absl::Status Execute(const char* sql);
  absl::StatusOr<SqliteStatement> Prepare(std::string_view sql);
  // A full disk becomes ResourceExhausted, which says that nothing was lost and what to do.
  absl::Status Error(int code, std::string_view what) const;

 private:
  friend class SqliteStatement;
  SqliteDatabase(sqlite3* db, std::filesystem::path path) : db_(db), path_(std::move(path)) {}
  sqlite3* db_;
  std::filesystem::path path_;
};

class SqliteStatement {
 public:
  SqliteStatement(SqliteDatabase* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}

  // Parameters in order.
  SqliteStatement& Bind(int64_t value);
  SqliteStatement& Bind(std::string_view blob);

  absl::StatusOr<bool> Step();  // true: a row is there
  absl::Status Run();           // to the end, for statements without rows
  int64_t Integer(int column) const;
  std::string Blob(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  SqliteDatabase* db_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bound_ = 0;
};

class SqliteTransaction {
 public:
  static absl::StatusOr<SqliteTransaction> Begin(SqliteDatabase& db);
  SqliteTransaction(SqliteTransaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  ~SqliteTransaction();
  absl::Status Commit();

 private:
  explicit SqliteTransaction(SqliteDatabase* db) : db_(db) {}
  SqliteDatabase* db_;
};

}  // namespace muster
