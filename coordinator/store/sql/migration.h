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

// FailedPrecondition if the store at `where` was written by a newer program.
inline absl::Status CheckSchemaIsKnown(const std::string& where, int64_t found,
                                       std::span<const Migration> known) {
  if (found <= static_cast<int64_t>(known.size())) return absl::OkStatus();
  return absl::FailedPreconditionError(StrCat(
      where, " has schema version ", found, ", this program knows versions up to ", known.size(),
      "; run the newer program that wrote it, or restore the backup made before upgrading"));
}

}  // namespace muster
