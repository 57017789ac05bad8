// The schema as numbered steps. A step that was released is never edited; a change is a new step.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/store/sqlite/connection.h"

namespace muster {

struct Migration {
  std::string_view name;  // "01_initial"; entry i of the list is number i + 1
  const char* sql;
};

const std::vector<Migration>& EmbeddedMigrations();

// Brings the database to the newest schema, each step in a transaction of its own.
// FailedPrecondition for a schema that is newer than `migrations`, or a database of another
// program.
absl::Status Migrate(Connection& connection, std::span<const Migration> migrations);

}  // namespace muster
