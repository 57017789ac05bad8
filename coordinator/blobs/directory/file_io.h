// Reading and writing files by descriptor, whole or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/blobs/blob_store.h"
#include "proto/core/files.h"

namespace muster {

// Blobs and uploads are for the coordinator's eyes.
inline constexpr unsigned kBlobFileMode = 0640;
inline constexpr unsigned kBlobFolderMode = 0750;

// As ErrnoStatus(), and a file that met the process's file-size limit is a full disk too.
absl::Status FileStatus(int error, std::string_view what, const std::filesystem::path& path);

absl::StatusOr<UniqueFd> OpenFile(const std::filesystem::path& path, int flags);

// Writes all of `bytes` at `offset`. After an error the file may be longer than `offset`; the
// caller cuts it back.
absl::Status WriteAllAt(int fd, uint64_t offset, std::string_view bytes,
                        const std::filesystem::path& path);

absl::Status Fsync(int fd, const std::filesystem::path& path);

// Creates `path` and the folders above it that are missing; each new entry is durable.
absl::Status MakeFolderDurably(const std::filesystem::path& path);

// Unlinks; absent is fine.
absl::Status RemoveFile(const std::filesystem::path& path);

// Reads by pread, so any number of threads may share it. Keeps reading the same bytes after the
// file was unlinked.
absl::StatusOr<std::unique_ptr<BlobReader>> OpenFileReader(const std::filesystem::path& path);

}  // namespace muster
