// Backups of a coordinator over SQLite and a folder of blobs, while it serves, and their restore.
//
//   OUT/backup.json  what is in it, by digest; written last: without it there is no backup
//   OUT/muster.db    one committed state of the store
//   OUT/blobs/       the blobs that this state refers to, by their SHA-256, as in a state folder
//   OUT/keys.sealed  the keys under a passphrase, if they were asked for
//
// A backup into a folder that holds an older one copies only the blobs that are not there yet. What
// is in flight is not in a backup: open rounds begin anew after a restore, and uploads are uploaded
// again.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/upkeep/backup_manifest.h"
#include "coordinator/upkeep/key_bundle.h"
#include "coordinator/upkeep/timeline.h"
#include "models/package/package.h"

namespace muster {

inline constexpr char kBackupManifestFile[] = "backup.json";
inline constexpr char kBackupKeysFile[] = "keys.sealed";
inline constexpr char kRestoringFile[] = "RESTORING";  // a restore that has not ended

// Which files and folders of a state folder a backup and a restore deal with.
struct StateLayout {
  std::filesystem::path state_dir;
  std::string database, blobs;    // below it
  std::vector<std::string> keys;  // files, or folders of them
};

struct BackupReport {
  uint64_t blobs = 0, bytes = 0;          // in the backup
  uint64_t copied = 0, copied_bytes = 0;  // by this run
  bool keys = false;
};

// Without a passphrase the keys are left out. DataLoss if a blob is missing or is not what its name
// says: the backup is not made then.
absl::StatusOr<BackupReport> MakeBackup(const StateLayout& layout, const std::filesystem::path& out,
                                        const PackageVerifier& verifier,
                                        const std::string& passphrase, RandomSource& random,
                                        Timestamp now);

// Reads everything that the backup's manifest names; DataLoss for the first thing that is not as it
// says.
absl::StatusOr<BackupManifest> VerifyBackup(const std::filesystem::path& backup);

struct RestoreReport {
  uint64_t blobs = 0, bytes = 0;
  bool keys = false;
  Timestamp created;  // of the backup
  NewTimeline timeline;
};

// Into a folder that is not there or empty, but for keys that were put there already. Stopped in
// the middle it leaves kRestoringFile, with which no coordinator serves: empty the folder, and
// restore again.
absl::StatusOr<RestoreReport> RestoreBackup(const StateLayout& layout,
                                            const std::filesystem::path& backup,
                                            const std::string& passphrase, RandomSource& random,
                                            const DriveOptions& options, Timestamp now);

}  // namespace muster
