// One connection to the database file. For one thread at a time.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/sql/statement.h"
#include "coordinator/store/sqlite/cursor.h"

namespace muster {

class Connection final : public Database {
 public:
  enum class Mode { kReadWrite, kReadOnly };

  // Creates the file in kReadWrite mode. WAL, synchronous=FULL, foreign keys.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::filesystem::path& path,
                                                          Mode mode,
                                                          std::chrono::milliseconds busy_timeout);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Any number of statements, no parameters, no rows.
  absl::Status Execute(const char* sql);
  // One such statement that is needed again and again: compiled once. A literal.
  absl::Status Run(std::string_view sql);
  absl::StatusOr<Statement> Prepare(std::string_view sql) override;
  bool ManyWriters() const override { return false; }

  bool InTransaction() const { return sqlite3_get_autocommit(db_) == 0; }
  const std::filesystem::path& path() const { return path_; }

 private:
  Connection(sqlite3* db, std::filesystem::path path) : db_(db), path_(std::move(path)) {}

  sqlite3* db_;
  std::filesystem::path path_;
  std::unordered_map<std::string_view, std::unique_ptr<SqliteCursor>> cache_;
};

}  // namespace muster
