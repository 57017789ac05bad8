// A prepared statement on one PostgreSQL connection. Parameters and results travel in binary form.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/store/sql/cursor.h"

namespace muster {

class PgConnection;

struct FreePgResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, FreePgResult>;

class PgCursor final : public Cursor {
 public:
  // `sql` has parameters `?` or `?1`, as Database::Prepare() takes them; `name` is the statement's
  // on the server.
  PgCursor(PgConnection& db, std::string_view sql, std::string name);

  bool Take();  // false: it is in use already

  void BindNumber(int64_t number) override;
  void BindReal(double real) override;
  void BindBool(bool truth) override;
  // Text holds no NUL and no broken UTF-8 in PostgreSQL: U+FFFD stands for them. Keys never do.
  void BindText(std::string_view text) override;
  void BindBytes(std::string_view bytes) override;
  void BindNull(SqlType type) override;
  absl::StatusOr<bool> Step() override;
  uint64_t Changed() const override;
  void Reset() override;

  bool Null(int column) const override;
  std::optional<int64_t> Number(int column) const override;
  std::optional<double> Real(int column) const override;
  std::optional<bool> Truth(int column) const override;
  std::string_view Bytes(int column) const override;
  std::string_view Name(int column) const override;

 private:
  void Add(SqlType type, std::string value, bool null = false);
  bool Is(int column, Oid type) const;

  PgConnection& db_;
  const std::string sql_;  // with $1, $2
  const std::string name_;
  bool prepared_ = false;
  bool in_use_ = false;
  std::vector<Oid> types_;
  std::vector<std::string> values_;
  std::vector<bool> nulls_;
  PgResult result_;
  int row_ = -1;
};

}  // namespace muster
