// The schema as numbered steps. A step that was released is never edited; a change is a new step.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "proto/core/strings.h"

namespace muster {

struct Migration {
  std::string_view name;  // "01_initial"; entry i of the list is number i + 1
  const char* sql;
};

// What a store has, and what this program would do to it.
struct StoreSchema {
  int64_t found = 0;                 // 0: no store yet
  int64_t newest = 0;                // that this program knows
  std::vector<std::string> pending;  // steps that would run
};

inline StoreSchema CompareSchema(int64_t found, std::span<const Migration> known) {
  StoreSchema schema{.found = found, .newest = static_cast<int64_t>(known.size())};
  for (auto i = static_cast<size_t>(found); i < known.size(); ++i) {
    schema.pending.emplace_back(known[i].name);
  }
  return schema;
}

// FailedPrecondition if the store at `where` was written by a newer program.
inline absl::Status CheckSchemaIsKnown(const std::string& where, int64_t found,
                                       std::span<const Migration> known) {
  if (found <= static_cast<int64_t>(known.size())) return absl::OkStatus();
  return absl::FailedPreconditionError(StrCat(
      where, " has schema version ", found, ", this program knows versions up to ", known.size(),
      "; run the newer program that wrote it, or restore the backup made before upgrading"));
}

// The same for one that is older too: whoever opens it does not migrate.
inline absl::Status CheckSchemaIsNewest(const std::string& where, int64_t found,
                                        std::span<const Migration> known) {
  if (absl::Status status = CheckSchemaIsKnown(where, found, known); !status.ok()) return status;
  if (found == static_cast<int64_t>(known.size())) return absl::OkStatus();
  return absl::FailedPreconditionError(StrCat(where, " has schema version ", found,
                                              ", this program needs ", known.size(),
                                              "; `muster-coordinator migrate` brings it there"));
}

}  // namespace muster
