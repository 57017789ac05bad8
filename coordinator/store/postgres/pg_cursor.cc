#include "coordinator/store/postgres/pg_cursor.h"

#include <endian.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "coordinator/store/postgres/pg_connection.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

// From PostgreSQL's catalog/pg_type.dat; they never change.
constexpr Oid kBool = 16, kBytea = 17, kInt8 = 20, kText = 25, kFloat8 = 701;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

Oid OidOf(SqlType type) {
  switch (type) {
    case SqlType::kNumber:
      return kInt8;
    case SqlType::kReal:
      return kFloat8;
    case SqlType::kBool:
      return kBool;
    case SqlType::kText:
      return kText;
    case SqlType::kBytes:
      return kBytea;
  }
  return 0;
}

std::string BigEndian(uint64_t bits) {
  const uint64_t wire = htobe64(bits);
  return std::string(reinterpret_cast<const char*>(&wire), sizeof(wire));
}

// `?7` becomes `$7`, and `?` the number after the largest so far, as SQLite counts.
std::string Numbered(std::string_view sql) {
  std::string out;
  size_t largest = 0;
  for (size_t i = 0; i < sql.size(); ++i) {
    if (sql[i] != '?') {
      out += sql[i];
      continue;
    }
    size_t number = 0;
    const auto parsed = std::from_chars(sql.data() + i + 1, sql.data() + sql.size(), number);
    if (parsed.ec == std::errc()) {
      i = static_cast<size_t>(parsed.ptr - sql.data()) - 1;
    } else {
      number = largest + 1;
    }
    largest = std::max(largest, number);
    StrAppend(&out, "$", number);
  }
  return out;
}

// The length of the well-formed UTF-8 sequence that `text` begins with (RFC 3629), 0 if there is
// none, and for NUL.
size_t SequenceLength(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(i < text.size() ? text[i] : 0); };
  const auto tail = [&](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      if ((at(i) & 0xC0) != 0x80) return false;
    }
    return true;
  };
  const uint8_t first = at(0), second = at(1);
  if (first == 0) return 0;
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1, 2) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && second < 0xA0;
    const bool surrogate = first == 0xED && second > 0x9F;
    return !overlong && !surrogate && tail(1, 3) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && second < 0x90;
    const bool beyond = first == 0xF4 && second > 0x8F;
    return !overlong && !beyond && tail(1, 4) ? 4 : 0;
  }
  return 0;
}

std::string StorableText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    out += length > 0 ? text.substr(0, length) : kReplacement;
    text.remove_prefix(length > 0 ? length : 1);
  }
  return out;
}

}  // namespace

PgCursor::PgCursor(PgConnection& db, std::string_view sql, std::string name)
    : db_(db), sql_(Numbered(sql)), name_(std::move(name)) {}

bool PgCursor::Take() {
  if (in_use_) return false;
  in_use_ = true;
  return true;
}

void PgCursor::Reset() {
  types_.clear();
  values_.clear();
  nulls_.clear();
  result_.reset();
  row_ = -1;
  in_use_ = false;
}

void PgCursor::Add(SqlType type, std::string value, bool null) {
  types_.push_back(OidOf(type));
  values_.push_back(std::move(value));
  nulls_.push_back(null);
}

void PgCursor::BindNumber(int64_t number) {
  Add(SqlType::kNumber, BigEndian(static_cast<uint64_t>(number)));
}
void PgCursor::BindReal(double real) {
  Add(SqlType::kReal, BigEndian(std::bit_cast<uint64_t>(real)));
}
void PgCursor::BindBool(bool truth) { Add(SqlType::kBool, std::string(1, truth ? 1 : 0)); }
void PgCursor::BindText(std::string_view text) { Add(SqlType::kText, StorableText(text)); }
void PgCursor::BindBytes(std::string_view bytes) { Add(SqlType::kBytes, std::string(bytes)); }
void PgCursor::BindNull(SqlType type) { Add(type, "", true); }

absl::StatusOr<bool> PgCursor::Step() {
  if (result_ == nullptr) {
    if (!prepared_) {
      MUSTER_RETURN_IF_ERROR(db_.PrepareOnServer(name_, sql_, types_));
      prepared_ = true;
    }
    std::vector<const char*> values;
    std::vector<int> lengths;
    for (size_t i = 0; i < values_.size(); ++i) {
      values.push_back(nulls_[i] ? nullptr : values_[i].data());
      lengths.push_back(static_cast<int>(values_[i].size()));
    }
    const std::vector<int> formats(values_.size(), 1);
    MUSTER_ASSIGN_OR_RETURN(result_, db_.ExecutePrepared(name_, values, lengths, formats));
  }
  return ++row_ < PQntuples(result_.get());
}

uint64_t PgCursor::Changed() const {
  const std::string_view text = result_ == nullptr ? "" : PQcmdTuples(result_.get());
  uint64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

bool PgCursor::Is(int column, Oid type) const {
  return PQftype(result_.get(), column) == type && !Null(column);
}

bool PgCursor::Null(int column) const { return PQgetisnull(result_.get(), row_, column) != 0; }

std::optional<int64_t> PgCursor::Number(int column) const {
  if (!Is(column, kInt8)) return std::nullopt;
  uint64_t wire = 0;
  std::memcpy(&wire, PQgetvalue(result_.get(), row_, column), sizeof(wire));
  return static_cast<int64_t>(be64toh(wire));
}

std::optional<double> PgCursor::Real(int column) const {
  if (!Is(column, kFloat8)) return std::nullopt;
  uint64_t wire = 0;
  std::memcpy(&wire, PQgetvalue(result_.get(), row_, column), sizeof(wire));
  return std::bit_cast<double>(be64toh(wire));
}

std::optional<bool> PgCursor::Truth(int column) const {
  if (!Is(column, kBool)) return std::nullopt;
  return *PQgetvalue(result_.get(), row_, column) != 0;
}

std::string_view PgCursor::Bytes(int column) const {
  return {PQgetvalue(result_.get(), row_, column),
          static_cast<size_t>(PQgetlength(result_.get(), row_, column))};
}

std::string_view PgCursor::Name(int column) const {
  const char* name = PQfname(result_.get(), column);
  return name == nullptr ? "" : name;
}

}  // namespace muster
