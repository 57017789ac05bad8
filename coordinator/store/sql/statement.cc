#include "coordinator/store/sql/statement.h"

#include <limits>

#include "proto/core/strings.h"

namespace muster {

void Row::Fail(std::string_view why) {
  if (!status_.ok()) return;
  status_ = absl::DataLossError(
      StrCat("stored column ", cursor_->Name(column_ - 1), " ", why,
             "; the store was damaged, or changed by another program: restore a backup"));
}

int64_t Row::I64() {
  const std::optional<int64_t> value = cursor_->Number(column_++);
  if (!value.has_value()) Fail("is not a number");
  return value.value_or(0);
}

uint32_t Row::U32() {
  const int64_t value = I64();
  if (value < 0 || value > std::numeric_limits<uint32_t>::max()) {
    Fail(StrCat("has ", value, ", out of range"));
    return 0;
  }
  return static_cast<uint32_t>(value);
}

bool Row::Bool() {
  const std::optional<bool> value = cursor_->Truth(column_++);
  if (!value.has_value()) Fail("is neither true nor false");
  return value.value_or(false);
}

double Row::Real() {
  const std::optional<double> value = cursor_->Real(column_++);
  if (!value.has_value()) Fail("is not a real number");
  return value.value_or(0);
}

Digest Row::Hash() {
  const bool absent = Null();
  const std::string bytes = Bytes();
  if (absent) return Digest();
  const absl::StatusOr<Digest> digest = Digest::FromBytes(bytes);
  if (!digest.ok()) Fail(StrCat("is no digest: ", digest.status().message()));
  return digest.value_or(Digest());
}

Statement& Statement::Bind(std::string_view text) {
  cursor_->BindText(text);
  return *this;
}

Statement& Statement::Bind(double real) {
  cursor_->BindReal(real);
  return *this;
}

Statement& Statement::BindBytes(std::string_view bytes) {
  cursor_->BindBytes(bytes);
  return *this;
}

Statement& Statement::BindBytesOrNull(std::string_view bytes) {
  if (!bytes.empty()) return BindBytes(bytes);
  cursor_->BindNull(SqlType::kBytes);
  return *this;
}

absl::Status Statement::Run() { return RunCounting().status(); }

absl::StatusOr<uint64_t> Statement::RunCounting() {
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(const bool more, Step());
    if (!more) return cursor_->Changed();
  }
}

}  // namespace muster
