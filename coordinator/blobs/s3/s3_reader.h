// Reads one S3 object in ranges. The first limits::kS3FirstReadBytes come with the opening, so a
// small object costs one request and survives its deletion.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/blobs/blob_store.h"
#include "coordinator/blobs/s3/s3_client.h"

namespace muster {

// `what` is for messages: "blob abcdef...".
absl::StatusOr<std::unique_ptr<BlobReader>> OpenS3Object(std::shared_ptr<S3Client> client,
                                                         const std::string& key,
                                                         const std::string& what);

}  // namespace muster
