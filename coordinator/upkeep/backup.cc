#include "coordinator/upkeep/backup.h"

#include <sys/stat.h>

#include <set>
#include <system_error>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/store/sqlite/maintenance.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "coordinator/upkeep/copy_file.h"
#include "coordinator/upkeep/references.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr char kSnapshotFolder[] = "snapshot.tmp";
constexpr unsigned kBackupFileMode = 0600;
constexpr unsigned kBlobFileMode = 0640;

fs::path BlobPath(const fs::path& folder, const Digest& digest) {
  const std::string hex = digest.hex();
  return folder / hex.substr(0, 2) / hex;
}

absl::Status MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "creating folder", folder);
  return absl::OkStatus();
}

// The store as it is now, in a folder of its own, so that it opens as a store.
absl::Status TakeSnapshot(const StateLayout& layout, const fs::path& folder) {
  std::error_code ignored;
  fs::remove_all(folder, ignored);  // of a run that was stopped
  MUSTER_RETURN_IF_ERROR(MakeFolder(folder));
  return SnapshotSqlite(layout.state_dir / layout.database, folder / layout.database);
}

absl::StatusOr<std::set<Digest>> BlobsOf(const StateLayout& layout, const fs::path& snapshot,
                                         const PackageVerifier& verifier) {
  MUSTER_ASSIGN_OR_RETURN(const auto store, OpenSqliteForReading({.directory = snapshot}));
  MUSTER_ASSIGN_OR_RETURN(const auto blobs,
                          OpenDirectoryBlobsForReading(layout.state_dir / layout.blobs));
  ReferenceFinder finder(*blobs, verifier);
  std::set<Digest> used;
  MUSTER_RETURN_IF_ERROR(store->Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(used, finder.Find(reader));
    // Sums of open rounds go with their rounds, here and after a restore.
    MUSTER_ASSIGN_OR_RETURN(const auto rounds, reader.ListOpenRounds());
    for (const RoundRecord& round : rounds) {
      MUSTER_ASSIGN_OR_RETURN(const auto parts, reader.ListPartialSums(round.id));
      for (const PartialSumRecord& part : parts) used.erase(part.blob);
    }
    return absl::OkStatus();
  }));
  return used;
}

absl::Status CopyBlobs(const StateLayout& layout, const fs::path& out, const std::set<Digest>& used,
                       BackupManifest& manifest, BackupReport& report) {
  for (const Digest& digest : used) {
    const fs::path to = BlobPath(out / layout.blobs, digest);
    std::error_code error;
    uint64_t bytes = fs::file_size(to, error);
    if (error) {
      MUSTER_ASSIGN_OR_RETURN(bytes, CopyChecked(BlobPath(layout.state_dir / layout.blobs, digest),
                                                 to, digest, kBlobFileMode));
      ++report.copied;
      report.copied_bytes += bytes;
    }
    manifest.blobs.push_back({digest, bytes});
    ++report.blobs;
    report.bytes += bytes;
  }
  return absl::OkStatus();
}

absl::Status AddKeyFile(const StateLayout& layout, const fs::path& relative, KeyFiles& keys) {
  struct stat info {};
  const fs::path path = layout.state_dir / relative;
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "inspecting", path);
  MUSTER_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxKeyFileBytes));
  keys.files.push_back({relative.string(), info.st_mode & 0777u, std::move(bytes)});
  return absl::OkStatus();
}

absl::StatusOr<KeyFiles> ReadKeys(const StateLayout& layout) {
  KeyFiles keys;
  for (const std::string& name : layout.keys) {
    std::error_code error;
    if (!fs::is_directory(layout.state_dir / name, error)) {
      MUSTER_RETURN_IF_ERROR(AddKeyFile(layout, name, keys));
      continue;
    }
    for (fs::directory_iterator it(layout.state_dir / name, error), end; !error && it != end;
         it.increment(error)) {
      if (!it->is_regular_file()) continue;
      MUSTER_RETURN_IF_ERROR(AddKeyFile(layout, fs::path(name) / it->path().filename(), keys));
    }
    if (error) return ErrnoStatus(error.value(), "listing", layout.state_dir / name);
  }
  return keys;
}

}  // namespace

absl::StatusOr<BackupReport> MakeBackup(const StateLayout& layout, const fs::path& out,
                                        const PackageVerifier& verifier,
                                        const std::string& passphrase, RandomSource& random,
                                        Timestamp now) {
  BackupReport report;
  BackupManifest manifest{.created = now};
  const fs::path snapshot = out / kSnapshotFolder;
  MUSTER_RETURN_IF_ERROR(TakeSnapshot(layout, snapshot));
  MUSTER_ASSIGN_OR_RETURN(const StoreSchema schema,
                          InspectSqliteSchema(snapshot / layout.database));
  manifest.schema = schema.found;
  MUSTER_RETURN_IF_ERROR(CheckSqliteIntegrity(snapshot / layout.database));
  MUSTER_ASSIGN_OR_RETURN(const auto used, BlobsOf(layout, snapshot, verifier));
  MUSTER_RETURN_IF_ERROR(CopyBlobs(layout, out, used, manifest, report));
  // From here until the manifest is written there is no backup: an old manifest would not fit.
  std::error_code error;
  fs::remove(out / kBackupManifestFile, error);
  MUSTER_ASSIGN_OR_RETURN(manifest.database, Sha256File(snapshot / layout.database));
  MUSTER_RETURN_IF_ERROR(CopyChecked(snapshot / layout.database, out / layout.database,
                                     manifest.database, kBackupFileMode)
                             .status());
  fs::remove(out / kBackupKeysFile, error);
  if (!passphrase.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const KeyFiles keys, ReadKeys(layout));
    MUSTER_ASSIGN_OR_RETURN(const std::string sealed, SealKeys(keys, passphrase, random));
    MUSTER_RETURN_IF_ERROR(WriteFileDurably(out / kBackupKeysFile, sealed, kBackupFileMode));
    manifest.keys = Sha256(sealed);
    report.keys = true;
  }
  MUSTER_RETURN_IF_ERROR(
      WriteFileDurably(out / kBackupManifestFile, manifest.ToJson(), kBackupFileMode));
  fs::remove_all(snapshot, error);
  MUSTER_RETURN_IF_ERROR(VerifyBackup(out).status());
  return report;
}

absl::StatusOr<BackupManifest> VerifyBackup(const fs::path& backup) {
  const auto text = ReadFile(backup / kBackupManifestFile, kMaxBackupManifestBytes);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(StrCat("there is no backup in ", backup.string(), ": it has no ",
                                      kBackupManifestFile, ". A backup that was stopped goes on",
                                      " when it is made again"));
  }
  MUSTER_RETURN_IF_ERROR(text.status());
  MUSTER_ASSIGN_OR_RETURN(BackupManifest manifest, BackupManifest::FromJson(*text));
  MUSTER_RETURN_IF_ERROR(CheckFile(backup / kSqliteFile, manifest.database));
  if (!manifest.keys.empty()) {
    MUSTER_RETURN_IF_ERROR(CheckFile(backup / kBackupKeysFile, manifest.keys));
  }
  for (const BackupBlob& blob : manifest.blobs) {
    MUSTER_RETURN_IF_ERROR(CheckFile(BlobPath(backup / "blobs", blob.digest), blob.digest));
  }
  return manifest;
}

}  // namespace muster
