// Prepared statements: typed parameters in, typed and checked columns out.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/sql/cursor.h"
#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/status.h"
#include "proto/core/time.h"

namespace muster {

// One result row, read column by column from the left. A value that does not fit its type is noted:
// status() then answers DataLoss and names the column. So a whole record is read before one check.
class Row {
 public:
  explicit Row(const Cursor& cursor) : cursor_(&cursor) {}

  bool Null() const { return cursor_->Null(column_); }
  void Skip() { ++column_; }
  int64_t I64();
  uint64_t U64() { return static_cast<uint64_t>(I64()); }
  uint32_t U32();
  bool Bool();
  double Real();
  Timestamp Time() { return Timestamp{I64()}; }
  Duration Span() { return Duration(I64()); }
  std::string Text() { return Bytes(); }  // "" for NULL
  std::string Bytes() { return std::string(cursor_->Bytes(column_++)); }
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

  const Cursor* cursor_;
  int column_ = 0;
  absl::Status status_;
};

// A cursor in use: reset when it goes. Parameters bind from the left.
class Statement {
 public:
  explicit Statement(Cursor* cursor) : cursor_(cursor) {}
  Statement(Statement&& other) noexcept : cursor_(std::exchange(other.cursor_, nullptr)) {}
  ~Statement() {
    if (cursor_ != nullptr) cursor_->Reset();
  }

  Statement& Bind(std::string_view text);
  Statement& Bind(const std::string& text) { return Bind(std::string_view(text)); }
  Statement& Bind(const char* text) { return Bind(std::string_view(text)); }
  template <std::integral T>
  Statement& Bind(T number) {
    if constexpr (std::same_as<T, bool>) {
      cursor_->BindBool(number);
    } else {
      cursor_->BindNumber(static_cast<int64_t>(number));
    }
    return *this;
  }
  Statement& Bind(double real);
  Statement& Bind(Timestamp time) { return Bind(time.unix_us); }
  Statement& Bind(Duration span) { return Bind(span.count()); }
  Statement& Bind(const Digest& digest) { return BindBytesOrNull(digest.bytes()); }
  template <typename Tag>
  Statement& Bind(const StrongId<Tag>& id) {
    return Bind(std::string_view(id.value()));
  }
  Statement& BindBytes(std::string_view bytes);
  Statement& BindBytesOrNull(std::string_view bytes);  // NULL if there are none
  template <typename T>
  Statement& Bind(const std::optional<T>& value) {
    if (value.has_value()) return Bind(*value);
    cursor_->BindNull(std::same_as<T, std::string> ? SqlType::kText : SqlType::kNumber);
    return *this;
  }
  template <typename... T>
  Statement& BindAll(const T&... values) {
    (Bind(values), ...);
    return *this;
  }

  absl::StatusOr<bool> Step() { return cursor_->Step(); }  // is there a row?
  absl::Status Run();                                      // to the end, no rows wanted
  absl::StatusOr<uint64_t> RunCounting();                  // the same; how many rows it changed
  Row row() const { return Row(*cursor_); }

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
  Cursor* cursor_;
};

// A connection, as the rows see it.
class Database {
 public:
  virtual ~Database() = default;
  // A prepared statement from the cache. Parameters are `?`, or `?1`, `?2`. `sql` must live as long
  // as the program, and a statement is used up before the same text is prepared again.
  virtual absl::StatusOr<Statement> Prepare(std::string_view sql) = 0;
  // Other transactions run beside this one, so that rows to be claimed are locked and numbers that
  // everybody takes come from a sequence.
  virtual bool ManyWriters() const = 0;
};

}  // namespace muster
