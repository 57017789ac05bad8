// Copying files with a check of what they hold.
#pragma once

#include <cstdint>
#include <filesystem>

#include "absl/status/statusor.h"
#include "proto/core/digest.h"

namespace muster {

// Copies `from` to `to`, which is there whole or not at all afterwards, and durable. DataLoss if
// the bytes do not hash to `expected` (not empty). Returns how many bytes.
absl::StatusOr<uint64_t> CopyChecked(const std::filesystem::path& from,
                                     const std::filesystem::path& to, const Digest& expected,
                                     unsigned mode);

// DataLoss unless the file hashes to `expected`.
absl::Status CheckFile(const std::filesystem::path& file, const Digest& expected);

}  // namespace muster
