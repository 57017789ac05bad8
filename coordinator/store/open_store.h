// Picks the store's adapter from its URL.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/store/database_state.h"
#include "coordinator/store/sql/migration.h"
#include "coordinator/store/state_store.h"

namespace muster {

// The forms, for --help and errors.
inline constexpr std::string_view kStoreUrlForms =
    "sqlite (in the state folder), sqlite:FOLDER, or"
    " postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE";

// InvalidArgument unless `url` is of one of the forms, before anything is done.
absl::Status CheckStoreUrl(std::string_view url);

// `url` is of one of the forms; "" is "sqlite". `state_dir` is where "sqlite" lives.
// Without `migrate` an older schema is refused. InvalidArgument for any other form; else as
// OpenSqliteStore() and OpenPostgresStore(). No error repeats a URL, which may hold a password.
absl::StatusOr<std::unique_ptr<StateStore>> OpenStore(std::string_view url,
                                                      const std::filesystem::path& state_dir,
                                                      bool migrate = true);
// The same, to look at beside the coordinator that has it: never migrates. Writes are refused where
// the adapter can tell (SQLite).
absl::StatusOr<std::unique_ptr<StateStore>> OpenStoreForReading(
    std::string_view url, const std::filesystem::path& state_dir);
// Its schema, beside whoever has it. NotFound if there is no SQLite file.
absl::StatusOr<StoreSchema> InspectSchema(std::string_view url,
                                          const std::filesystem::path& state_dir);
// The database itself, beside whoever has it. DataLoss if SQLite finds its file damaged; else as
// InspectPostgres().
absl::StatusOr<DatabaseState> InspectDatabase(std::string_view url,
                                              const std::filesystem::path& state_dir);
// FailedPrecondition, naming them, while coordinators have a shared store; as CheckNoSessions(). A
// store of one process is locked instead: OpenStore() refuses it.
absl::Status CheckNobodyServes(std::string_view url);
// Whether many processes may have the store at once.
bool IsSharedStore(std::string_view url);
// The folder that SQLite's file is in; nothing for a database that is a server.
std::optional<std::filesystem::path> SqliteFolder(std::string_view url,
                                                  const std::filesystem::path& state_dir);

}  // namespace muster
