// Reads a complete upload, whether it is one object or many. `keys` open what is sealed; null:
// nothing is.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/blobs/at_rest/at_rest_keys.h"
#include "coordinator/blobs/blob_store.h"
#include "coordinator/blobs/s3/s3_client.h"
#include "coordinator/blobs/s3/staged_keys.h"

namespace muster {

absl::StatusOr<std::unique_ptr<BlobReader>> OpenStaged(std::shared_ptr<S3Client> client,
                                                       const StoredUpload& upload,
                                                       std::shared_ptr<const AtRestKeys> keys,
                                                       const std::string& what);

// Of the first `upload.covered()` bytes.
absl::StatusOr<Digest> HashStaged(const std::shared_ptr<S3Client>& client,
                                  const StoredUpload& upload,
                                  const std::shared_ptr<const AtRestKeys>& keys,
                                  const std::string& what);

}  // namespace muster
