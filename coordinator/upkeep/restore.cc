#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <system_error>

#include "coordinator/store/sqlite/maintenance.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "coordinator/upkeep/backup.h"
#include "coordinator/upkeep/copy_file.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kDatabaseMode = 0644;
constexpr unsigned kBlobFileMode = 0640;

// Nothing but keys that were put there already.
absl::Status CheckTarget(const StateLayout& layout) {
  std::error_code error;
  if (!fs::exists(layout.state_dir, error)) return absl::OkStatus();
  for (fs::directory_iterator it(layout.state_dir, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (std::find(layout.keys.begin(), layout.keys.end(), name) != layout.keys.end()) continue;
    return absl::FailedPreconditionError(
        StrCat(layout.state_dir.string(), " is not empty: it has ", name,
               ". A restore overwrites nothing; give it an empty folder with --state-dir"));
  }
  if (error) return ErrnoStatus(error.value(), "listing", layout.state_dir);
  return absl::OkStatus();
}

absl::Status CheckSchemaOf(const BackupManifest& manifest, const fs::path& database) {
  MUSTER_ASSIGN_OR_RETURN(const StoreSchema schema, InspectSqliteSchema(database));
  if (schema.found == manifest.schema && schema.found <= schema.newest) return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat("the backup has schema version ", schema.found, ", this program knows versions up to ",
             schema.newest, "; restore it with the program that made it, or a newer one"));
}

absl::StatusOr<KeyFiles> ReadKeys(const fs::path& backup, const std::string& passphrase) {
  if (passphrase.empty()) return KeyFiles();
  MUSTER_ASSIGN_OR_RETURN(const std::string sealed,
                          ReadFile(backup / kBackupKeysFile, kMaxBundleBytes));
  return OpenKeys(sealed, passphrase);
}

absl::Status WriteKeys(const StateLayout& layout, const KeyFiles& keys) {
  for (const KeyFile& file : keys.files) {
    const fs::path path = layout.state_dir / file.path;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) return ErrnoStatus(error.value(), "creating folder", path.parent_path());
    if (path.parent_path() != layout.state_dir && ::chmod(path.parent_path().c_str(), 0700) != 0) {
      return ErrnoStatus(errno, "closing folder", path.parent_path());
    }
    if (fs::exists(path, error)) {
      return absl::AlreadyExistsError(
          StrCat(path.string(), " is there already; leave the passphrase out to keep these keys"));
    }
    MUSTER_RETURN_IF_ERROR(WriteFileDurably(path, file.bytes, file.mode));
  }
  return absl::OkStatus();
}

absl::Status CheckKeys(const StateLayout& layout) {
  for (const std::string& name : layout.keys) {
    std::error_code error;
    if (fs::exists(layout.state_dir / name, error)) continue;
    return absl::FailedPreconditionError(
        StrCat("the keys are not there: ", (layout.state_dir / name).string(),
               ". Give --passphrase-file if the backup holds them, or put your copy of them into ",
               layout.state_dir.string(), " first"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RestoreReport> RestoreBackup(const StateLayout& layout, const fs::path& backup,
                                            const std::string& passphrase, RandomSource& random,
                                            const DriveOptions& options, Timestamp now) {
  MUSTER_RETURN_IF_ERROR(CheckTarget(layout));
  // All of the backup is read before anything is written.
  MUSTER_ASSIGN_OR_RETURN(const BackupManifest manifest, VerifyBackup(backup));
  MUSTER_RETURN_IF_ERROR(CheckSqliteIntegrity(backup / layout.database));
  MUSTER_RETURN_IF_ERROR(CheckSchemaOf(manifest, backup / layout.database));
  if (passphrase.empty()) MUSTER_RETURN_IF_ERROR(CheckKeys(layout));
  if (!passphrase.empty() && manifest.keys.empty()) {
    return absl::InvalidArgumentError("the backup holds no keys: leave the passphrase out");
  }
  MUSTER_ASSIGN_OR_RETURN(const KeyFiles keys, ReadKeys(backup, passphrase));
  std::error_code error;
  fs::create_directories(layout.state_dir, error);
  if (error) return ErrnoStatus(error.value(), "creating folder", layout.state_dir);
  MUSTER_RETURN_IF_ERROR(WriteFileDurably(layout.state_dir / kRestoringFile,
                                          "empty this folder, and restore again\n"));
  RestoreReport report{.keys = !passphrase.empty(), .created = manifest.created};
  MUSTER_RETURN_IF_ERROR(WriteKeys(layout, keys));
  for (const BackupBlob& blob : manifest.blobs) {
    const std::string hex = blob.digest.hex();
    const fs::path place = fs::path("blobs") / hex.substr(0, 2) / hex;
    MUSTER_ASSIGN_OR_RETURN(
        const uint64_t bytes,
        CopyChecked(backup / place, layout.state_dir / layout.blobs / hex.substr(0, 2) / hex,
                    blob.digest, kBlobFileMode));
    ++report.blobs;
    report.bytes += bytes;
  }
  const fs::path database = layout.state_dir / layout.database;
  MUSTER_RETURN_IF_ERROR(
      CopyChecked(backup / layout.database, database, manifest.database, kDatabaseMode).status());
  {
    MUSTER_ASSIGN_OR_RETURN(const auto store, OpenSqliteStore({.directory = layout.state_dir}));
    MUSTER_ASSIGN_OR_RETURN(report.timeline, BeginNewTimeline(*store, random, options, now,
                                                              manifest.created.ToString()));
  }
  fs::remove(layout.state_dir / kRestoringFile, error);
  if (error) return ErrnoStatus(error.value(), "removing", layout.state_dir / kRestoringFile);
  MUSTER_RETURN_IF_ERROR(FsyncDirectory(layout.state_dir));
  return report;
}

}  // namespace muster
