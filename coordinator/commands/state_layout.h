// Where things are in a state folder, for the commands that look after it.
#pragma once

#include "coordinator/serve.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "coordinator/upkeep/backup.h"

namespace muster::commands {

inline StateLayout LayoutOf(const std::filesystem::path& state_dir) {
  return {.state_dir = state_dir,
          .database = kSqliteFile,
          .blobs = kBlobFolder,
          .keys = {kIdentityFolder, kPackageKeyFile, kAtRestKeyFile}};
}

}  // namespace muster::commands
