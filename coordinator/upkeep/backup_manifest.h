// backup.json: what is in a backup, by digest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/core/digest.h"
#include "proto/core/time.h"

namespace muster {

inline constexpr size_t kMaxBackupManifestBytes = 512u << 20;

struct BackupBlob {
  Digest digest;
  uint64_t bytes = 0;
  friend bool operator==(const BackupBlob&, const BackupBlob&) = default;
};

struct BackupManifest {
  Timestamp created;
  int64_t schema = 0;
  Digest database;  // of the file muster.db
  Digest keys;      // of the file keys.sealed, or empty
  std::vector<BackupBlob> blobs;

  std::string ToJson() const;
  // InvalidArgument, with what is wrong; a newer format is refused too.
  static absl::StatusOr<BackupManifest> FromJson(std::string_view text);
  friend bool operator==(const BackupManifest&, const BackupManifest&) = default;
};

}  // namespace muster
