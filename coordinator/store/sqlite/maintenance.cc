#include "coordinator/store/sqlite/maintenance.h"

#include <sqlite3.h>

#include <chrono>
#include <memory>

#include "coordinator/store/sqlite/connection.h"
#include "coordinator/store/sqlite/migrations.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr std::chrono::milliseconds kBusyTimeout{5000};

absl::StatusOr<std::unique_ptr<Connection>> OpenExisting(const std::filesystem::path& file,
                                                         Connection::Mode mode) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    return absl::NotFoundError(StrCat("there is no store ", file.string()));
  }
  return Connection::Open(file, mode, kBusyTimeout);
}

std::string ReadText(Row& row) { return row.Text(); }

}  // namespace

absl::StatusOr<StoreSchema> InspectSqliteSchema(const std::filesystem::path& file) {
  MUSTER_ASSIGN_OR_RETURN(const auto connection, OpenExisting(file, Connection::Mode::kReadOnly));
  MUSTER_ASSIGN_OR_RETURN(const int64_t found, SchemaVersion(*connection));
  return CompareSchema(found, EmbeddedMigrations());
}

absl::Status SnapshotSqlite(const std::filesystem::path& file, const std::filesystem::path& out) {
  MUSTER_ASSIGN_OR_RETURN(const auto connection, OpenExisting(file, Connection::Mode::kReadOnly));
  // Outside a transaction, as VACUUM must be; %Q quotes the name.
  const std::unique_ptr<char, decltype(&sqlite3_free)> copy(
      sqlite3_mprintf("VACUUM INTO %Q", out.c_str()), sqlite3_free);
  if (copy == nullptr) return absl::ResourceExhaustedError("there is no memory left");
  MUSTER_RETURN_IF_ERROR(connection->Execute(copy.get()));
  MUSTER_RETURN_IF_ERROR(FsyncFile(out));
  return FsyncDirectory(out.parent_path());
}

absl::Status CheckSqliteIntegrity(const std::filesystem::path& file) {
  MUSTER_ASSIGN_OR_RETURN(const auto connection, OpenExisting(file, Connection::Mode::kReadOnly));
  MUSTER_ASSIGN_OR_RETURN(Statement check, connection->Prepare("PRAGMA integrity_check(5)"));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::string> found, check.All(ReadText));
  if (found.size() == 1 && found[0] == "ok") return absl::OkStatus();
  return absl::DataLossError(StrCat(file.string(), " is damaged: ", StrJoin(found, "; ")));
}

}  // namespace muster
