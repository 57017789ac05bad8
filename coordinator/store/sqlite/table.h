// The SQL of one table, from its column names.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "proto/core/strings.h"

namespace muster {

struct Table {
  std::string what;     // for messages: "job"
  std::string select;   // "SELECT key..., column... FROM name"
  std::string version;  // "SELECT row_version FROM name WHERE key = ? AND ..."
  std::string upsert;   // parameters: keys, then columns
  std::string by_key;   // select + " WHERE key = ? AND ..."
};

// `columns` excludes the keys. `what` is what messages call a row, if not by the table's name.
inline Table MakeTable(const std::string& name, const std::vector<std::string>& keys,
                       const std::vector<std::string>& columns, const std::string& what = "") {
  const auto append = [](const char* suffix) {
    return
        [suffix](std::string* out, const std::string& column) { StrAppend(out, column, suffix); };
  };
  std::vector<std::string> all = keys;
  all.insert(all.end(), columns.begin(), columns.end());
  const std::string names = absl::StrJoin(all, ", ");
  const std::string where = StrCat(" WHERE ", absl::StrJoin(keys, " AND ", append(" = ?")));
  std::string marks = "?";
  for (size_t i = 1; i < all.size(); ++i) marks += ", ?";
  const std::string updates =
      absl::StrJoin(columns, ", ", [](std::string* out, const std::string& column) {
        StrAppend(out, column, " = excluded.", column);
      });
  Table table;
  table.what = what.empty() ? name : what;
  table.select = StrCat("SELECT ", names, " FROM ", name);
  table.version = StrCat("SELECT row_version FROM ", name, where);
  table.by_key = StrCat(table.select, where);
  table.upsert = StrCat("INSERT INTO ", name, " (", names, ") VALUES (", marks, ") ON CONFLICT (",
                        absl::StrJoin(keys, ", "), ") DO UPDATE SET ", updates);
  return table;
}

}  // namespace muster
