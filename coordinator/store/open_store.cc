#include "coordinator/store/open_store.h"

#include "coordinator/store/postgres/conninfo.h"
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

absl::StatusOr<std::unique_ptr<StateStore>> OpenStore(std::string_view url,
                                                      const std::filesystem::path& state_dir,
                                                      bool migrate) {
  MUSTER_RETURN_IF_ERROR(CheckStoreUrl(url));
  if (IsSqliteInStateDir(url)) return OpenSqliteStore({.directory = state_dir, .migrate = migrate});
  if (IsSqliteFolder(url)) {
    return OpenSqliteStore({.directory = url.substr(kSqliteFolder.size()), .migrate = migrate});
  }
  return OpenPostgresStore({.url = std::string(url), .migrate = migrate});
}

absl::StatusOr<std::unique_ptr<StateStore>> OpenStoreForReading(
    std::string_view url, const std::filesystem::path& state_dir) {
  MUSTER_RETURN_IF_ERROR(CheckStoreUrl(url));
  if (IsSqliteInStateDir(url)) return OpenSqliteForReading({.directory = state_dir});
  if (IsSqliteFolder(url)) {
    return OpenSqliteForReading({.directory = url.substr(kSqliteFolder.size())});
  }
  return OpenPostgresStore({.url = std::string(url), .migrate = false});
}

absl::StatusOr<StoreSchema> InspectSchema(std::string_view url,
                                          const std::filesystem::path& state_dir) {
  MUSTER_RETURN_IF_ERROR(CheckStoreUrl(url));
  if (IsPostgres(url)) return InspectPostgresSchema({.url = std::string(url)});
  const std::filesystem::path folder =
      IsSqliteFolder(url) ? url.substr(kSqliteFolder.size()) : state_dir;
  return InspectSqliteSchema(folder / kSqliteFile);
}

bool IsSharedStore(std::string_view url) { return IsPostgres(url); }

}  // namespace muster
