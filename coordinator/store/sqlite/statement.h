// Prepared statements: typed parameters in, typed and checked columns out.
#pragma once

#include <sqlite3.h>

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/status.h"
#include "proto/core/time.h"

namespace muster {

// What SQLite says as a Status that names `path` and what to do. `doing` is such as "storing".
absl::Status SqliteStatus(sqlite3* db, int code, std::string_view doing,
                          const std::filesystem::path& path);

// One result row, read column by column from the left. A value that does not fit its type is noted:
// status() then answers DataLoss and names the column. So a whole record is read before one check.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}

  bool Null() const { return sqlite3_column_type(statement_, column_) == SQLITE_NULL; }
  void Skip() { ++column_; }
  int64_t I64();
  uint64_t U64() { return static_cast<uint64_t>(I64()); }
  uint32_t U32();
  bool Bool();
  double Real();
  Timestamp Time() { return Timestamp{I64()}; }
  Duration Span() { return Duration(I64()); }
  std::string Text();  // "" for NULL
  std::string Bytes();
  Digest Hash();  // empty for NULL
  template <typename Id>
  Id Name() {
    return Id::Trusted(Text());
  }
  template <typename E>
  E Enum(std::optional<E> (*parse)(std::string_view)) {
    const std::string text = Text();
    const std::optional<E> value = parse(text);
    if (!value.has_value()) Fail("has the unknown value '" + text + "'");
    return value.value_or(E{});
  }
  template <typename T>
  T Parsed(absl::StatusOr<T> (*parse)(std::string_view)) {
    absl::StatusOr<T> value = parse(Bytes());
    if (value.ok()) return *std::move(value);
    Fail(std::string(value.status().message()));
    return T{};
  }

  absl::Status status() const { return status_; }

 private:
  void Fail(std::string_view why);  // about the column that was just read

  sqlite3_stmt* statement_;
  int column_ = 0;
  absl::Status status_;
};

// A statement in use: reset when it goes. Parameters bind from the left; an error is kept for
// Step().
class Statement {
 public:
  Statement(sqlite3* db, sqlite3_stmt* statement, const std::filesystem::path* path, bool* in_use)
      : db_(db), statement_(statement), path_(path), in_use_(in_use) {
    *in_use_ = true;
  }
  Statement(Statement&& other) noexcept
      : db_(other.db_),
        statement_(std::exchange(other.statement_, nullptr)),
        path_(other.path_),
        in_use_(other.in_use_),
        next_(other.next_),
        bind_(other.bind_) {}
  ~Statement();

  Statement& Bind(std::string_view text);
  Statement& Bind(const std::string& text) { return Bind(std::string_view(text)); }
  Statement& Bind(const char* text) { return Bind(std::string_view(text)); }
  template <std::integral T>
  Statement& Bind(T number) {
    return BindNumber(static_cast<int64_t>(number));
  }
  Statement& Bind(double real);
  Statement& Bind(Timestamp time) { return BindNumber(time.unix_us); }
  Statement& Bind(Duration span) { return BindNumber(span.count()); }
  Statement& Bind(const Digest& digest) {
    return digest.empty() ? BindNull() : BindBytes(digest.bytes());
  }
  template <typename Tag>
  Statement& Bind(const StrongId<Tag>& id) {
    return Bind(std::string_view(id.value()));
  }
  Statement& BindBytes(std::string_view bytes);
  Statement& BindNull();
  template <typename T>
  Statement& Bind(const std::optional<T>& value) {
    return value.has_value() ? Bind(*value) : BindNull();
  }
  template <typename... T>
  Statement& BindAll(const T&... values) {
    (Bind(values), ...);
    return *this;
  }

  absl::StatusOr<bool> Step();  // is there a row?
  absl::Status Run();           // to the end, no rows wanted
  Row row() const { return Row(statement_); }

  // Every row through `read`, which takes a Row& and reads all of its columns.
  template <typename R>
  absl::StatusOr<std::vector<R>> All(R (*read)(Row&)) {
    std::vector<R> list;
    while (true) {
      MUSTER_ASSIGN_OR_RETURN(const bool more, Step());
      if (!more) return list;
      Row current = row();
      list.push_back(read(current));
      MUSTER_RETURN_IF_ERROR(current.status());
    }
  }
  // The only row, if there is one.
  template <typename R>
  absl::StatusOr<std::optional<R>> One(R (*read)(Row&)) {
    MUSTER_ASSIGN_OR_RETURN(const bool found, Step());
    if (!found) return std::optional<R>();
    Row current = row();
    std::optional<R> record = read(current);
    MUSTER_RETURN_IF_ERROR(current.status());
    return record;
  }

 private:
  Statement& BindNumber(int64_t number);

  sqlite3* db_;
  sqlite3_stmt* statement_;
  const std::filesystem::path* path_;
  bool* in_use_;
  int next_ = 1;
  int bind_ = SQLITE_OK;
};

}  // namespace muster
