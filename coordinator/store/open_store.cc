#include "coordinator/store/open_store.h"

#include <system_error>

#include "coordinator/store/postgres/conninfo.h"
#include "coordinator/store/postgres/pg_inspect.h"
#include "coordinator/store/postgres/postgres_store.h"
#include "coordinator/store/sqlite/maintenance.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr std::string_view kSqliteFolder = "sqlite:";

bool IsSqliteInStateDir(std::string_view url) { return url.empty() || url == "sqlite"; }
bool IsSqliteFolder(std::string_view url) {
  return url.starts_with(kSqliteFolder) && url.size() > kSqliteFolder.size();
}
bool IsPostgres(std::string_view url) {
  return url.starts_with("postgresql://") || url.starts_with("postgres://");
}

}  // namespace

absl::Status CheckStoreUrl(std::string_view url) {
  if (IsSqliteInStateDir(url) || IsSqliteFolder(url)) return absl::OkStatus();
  if (IsPostgres(url)) return ConnInfo::Parse(std::string(url)).status();
  return absl::InvalidArgumentError(
      StrCat("--store is of no form that is known; give ", kStoreUrlForms));
}

std::optional<std::filesystem::path> SqliteFolder(std::string_view url,
                                                  const std::filesystem::path& state_dir) {
  if (IsSqliteInStateDir(url)) return state_dir;
  if (IsSqliteFolder(url)) return url.substr(kSqliteFolder.size());
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<StateStore>> OpenStore(std::string_view url,
                                                      const std::filesystem::path& state_dir,
                                                      bool migrate) {
  MUSTER_RETURN_IF_ERROR(CheckStoreUrl(url));
  if (const auto folder = SqliteFolder(url, state_dir)) {
    return OpenSqliteStore({.directory = *folder, .migrate = migrate});
  }
  return OpenPostgresStore({.url = std::string(url), .migrate = migrate});
}

absl::StatusOr<std::unique_ptr<StateStore>> OpenStoreForReading(
    std::string_view url, const std::filesystem::path& state_dir) {
  MUSTER_RETURN_IF_ERROR(CheckStoreUrl(url));
  if (const auto folder = SqliteFolder(url, state_dir)) {
    return OpenSqliteForReading({.directory = *folder});
  }
  return OpenPostgresStore({.url = std::string(url), .migrate = false});
}

absl::StatusOr<StoreSchema> InspectSchema(std::string_view url,
                                          const std::filesystem::path& state_dir) {
  MUSTER_RETURN_IF_ERROR(CheckStoreUrl(url));
  if (const auto folder = SqliteFolder(url, state_dir)) {
    return InspectSqliteSchema(*folder / kSqliteFile);
  }
  return InspectPostgresSchema({.url = std::string(url)});
}

absl::StatusOr<DatabaseState> InspectDatabase(std::string_view url,
                                              const std::filesystem::path& state_dir) {
  MUSTER_RETURN_IF_ERROR(CheckStoreUrl(url));
  const auto folder = SqliteFolder(url, state_dir);
  if (!folder.has_value()) return InspectPostgres({.url = std::string(url)});
  MUSTER_RETURN_IF_ERROR(CheckSqliteIntegrity(*folder / kSqliteFile));
  std::error_code error;
  const auto bytes = std::filesystem::file_size(*folder / kSqliteFile, error);
  return DatabaseState{.name = "SQLite", .bytes = error ? 0 : bytes};
}

absl::Status CheckNobodyServes(std::string_view url) {
  MUSTER_RETURN_IF_ERROR(CheckStoreUrl(url));
  return IsPostgres(url) ? CheckNoSessions({.url = std::string(url)}) : absl::OkStatus();
}

bool IsSharedStore(std::string_view url) { return IsPostgres(url); }

}  // namespace muster
