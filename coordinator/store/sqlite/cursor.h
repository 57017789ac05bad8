// A prepared statement of SQLite, and SQLite's errors in words.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <string_view>

#include "absl/status/status.h"
#include "coordinator/store/sql/cursor.h"

namespace muster {

// What SQLite says as a Status that names `path` and what to do. `doing` is such as "storing".
absl::Status SqliteStatus(sqlite3* db, int code, std::string_view doing,
                          const std::filesystem::path& path);

class SqliteCursor final : public Cursor {
 public:
  SqliteCursor(sqlite3* db, sqlite3_stmt* statement, const std::filesystem::path* path)
      : db_(db), statement_(statement), path_(path) {}
  ~SqliteCursor() override { sqlite3_finalize(statement_); }
  SqliteCursor(const SqliteCursor&) = delete;
  SqliteCursor& operator=(const SqliteCursor&) = delete;

  bool Take();  // false: it is in use already

  void BindNumber(int64_t number) override;
  void BindReal(double real) override;
  void BindBool(bool truth) override { BindNumber(truth ? 1 : 0); }
  void BindText(std::string_view text) override;
  void BindBytes(std::string_view bytes) override;
  void BindNull(SqlType type) override;
  absl::StatusOr<bool> Step() override;
  uint64_t Changed() const override { return static_cast<uint64_t>(sqlite3_changes64(db_)); }
  void Reset() override;

  bool Null(int column) const override;
  std::optional<int64_t> Number(int column) const override;
  std::optional<double> Real(int column) const override;
  std::optional<bool> Truth(int column) const override;
  std::string_view Bytes(int column) const override;
  std::string_view Name(int column) const override;

 private:
  void Keep(int code) {
    if (code != SQLITE_OK) bind_ = code;
  }

  sqlite3* db_;
  sqlite3_stmt* statement_;
  const std::filesystem::path* path_;
  bool in_use_ = false;
  int next_ = 1;
  int bind_ = SQLITE_OK;
};

}  // namespace muster
