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
  std::string by_key;   // select + " WHERE key = ? AND ..."
  // Both take keys, then columns, and change no row where a rule of the table says no: a statement
  // that fails would cost the transaction in PostgreSQL.
  std::string insert;  // a new row, unless one of its unique keys is taken or its parent is missing
  std::string update;  // the row whose row_version is the given one less one
};

struct TableRules {
  std::string what;  // what messages call a row, if not by the table's name
  // "SELECT 1 FROM parent WHERE id = ?1", with the numbers of insert's parameters.
  std::string parent;
};

// `columns` excludes the keys. A table that is put by version has row_version first among them.
inline Table MakeTable(const std::string& name, const std::vector<std::string>& keys,
                       const std::vector<std::string>& columns, const TableRules& rules = {}) {
  std::vector<std::string> all = keys;
  all.insert(all.end(), columns.begin(), columns.end());
  std::vector<std::string> marks, sets, same_key;
  for (size_t i = 0; i < all.size(); ++i) {
    marks.push_back(StrCat("?", i + 1));
    if (i < keys.size()) {
      same_key.push_back(StrCat(all[i], " = ", marks[i]));
    } else {
      sets.push_back(StrCat(all[i], " = ", marks[i]));
    }
  }
  const std::string names = absl::StrJoin(all, ", ");
  const std::string values = absl::StrJoin(marks, ", ");
  const std::string where = StrCat(" WHERE ", absl::StrJoin(same_key, " AND "));
  const std::string source = rules.parent.empty()
                                 ? StrCat("VALUES (", values, ")")
                                 : StrCat("SELECT ", values, " WHERE EXISTS (", rules.parent, ")");
  Table table;
  table.what = rules.what.empty() ? name : rules.what;
  table.select = StrCat("SELECT ", names, " FROM ", name);
  table.version = StrCat("SELECT row_version FROM ", name, where);
  table.by_key = StrCat(table.select, where);
  table.insert = StrCat("INSERT INTO ", name, " (", names, ") ", source, " ON CONFLICT DO NOTHING");
  table.update = StrCat("UPDATE ", name, " SET ", absl::StrJoin(sets, ", "), where,
                        " AND row_version = ?", keys.size() + 1, " - 1");
  return table;
}

}  // namespace muster
