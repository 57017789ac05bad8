#include "coordinator/store/open_store.h"

#include "coordinator/store/postgres/postgres_store.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "proto/core/strings.h"

namespace muster {

absl::StatusOr<std::unique_ptr<StateStore>> OpenStore(std::string_view url,
                                                      const std::filesystem::path& state_dir) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (url.empty() || url == "sqlite") return OpenSqliteStore({.directory = state_dir});
  if (url.starts_with(kSqlite) && url.size() > kSqlite.size()) {
    return OpenSqliteStore({.directory = url.substr(kSqlite.size())});
  }
  if (url.starts_with("postgresql://") || url.starts_with("postgres://")) {
    return OpenPostgresStore({.url = std::string(url)});
  }
  return absl::InvalidArgumentError(
      StrCat("--store is of no form that is known; give ", kStoreUrlForms));
}

}  // namespace muster
