// What a database offers to the rows above it: one prepared statement with its parameters and its
// current row. sqlite/ and postgres/ implement it; sql/rows_*.cc are written once, over it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

enum class SqlType { kNumber, kReal, kBool, kText, kBytes };

class Cursor {
 public:
  virtual ~Cursor() = default;

  // Parameters from the left. What goes wrong is kept for Step().
  virtual void BindNumber(int64_t number) = 0;
  virtual void BindReal(double real) = 0;
  virtual void BindBool(bool truth) = 0;
  virtual void BindText(std::string_view text) = 0;
  virtual void BindBytes(std::string_view bytes) = 0;
  virtual void BindNull(SqlType type) = 0;

  // Runs the statement, or goes on to the next row. False: it is at its end.
  virtual absl::StatusOr<bool> Step() = 0;
  // Rows that it inserted, updated or deleted; once it is at its end.
  virtual uint64_t Changed() const = 0;
  // Forgets parameters and rows; the next Bind is of the first parameter.
  virtual void Reset() = 0;

  // The current row. Nothing for a value of another type, NULL too.
  virtual bool Null(int column) const = 0;
  virtual std::optional<int64_t> Number(int column) const = 0;
  virtual std::optional<double> Real(int column) const = 0;
  virtual std::optional<bool> Truth(int column) const = 0;
  virtual std::string_view Bytes(int column) const = 0;  // of text or bytes; "" for NULL
  virtual std::string_view Name(int column) const = 0;
};

}  // namespace muster
