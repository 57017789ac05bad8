// BlobStore in a folder: DIR/ab/abcdef... holds the blob whose SHA-256 starts with ab. Bytes go to
// DIR/tmp first; fsync, rename and fsync of the folder make them a blob, so there are whole blobs
// or none. One process at a time: whoever opens the folder sweeps what a crash left in DIR/tmp.
#pragma once

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/blobs/blob_store.h"

namespace muster {

// Creates the folder if it is missing.
absl::StatusOr<std::unique_ptr<BlobStore>> OpenDirectoryBlobs(
    const std::filesystem::path& directory);

// For reading only, beside the process that has the folder: sweeps nothing. Create answers
// FailedPrecondition, as do Delete and its like. NotFound if there is no folder.
absl::StatusOr<std::unique_ptr<BlobStore>> OpenDirectoryBlobsForReading(
    const std::filesystem::path& directory);

}  // namespace muster
