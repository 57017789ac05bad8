// One coordinator for one store folder: an flock that goes when its process does.
#pragma once

#include <filesystem>

#include "absl/status/statusor.h"
#include "proto/core/files.h"

namespace muster {

// The lock is held while the descriptor is open. FailedPrecondition names the holder.
absl::StatusOr<UniqueFd> LockFolder(const std::filesystem::path& folder);

}  // namespace muster
