// Picks where blobs and uploads live: folders, or an S3-compatible store.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/blobs/at_rest/at_rest_keys.h"
#include "coordinator/blobs/blob_store.h"
#include "coordinator/blobs/staging.h"

namespace muster {

struct BlobPlaces {
  std::string url;  // s3://BUCKET/PREFIX; empty: the two folders
  std::filesystem::path blob_folder, staging_folder;
  std::shared_ptr<const AtRestKeys> at_rest_keys;  // seal uploads; null: in the clear
  // Only with an s3:// URL. What is empty has the default of S3Options.
  std::string s3_endpoint, s3_public_endpoint, s3_region;
  std::string s3_ca_file, s3_credentials;  // files
};

struct OpenedBlobs {
  std::unique_ptr<BlobStore> blobs;
  std::unique_ptr<StagingArea> staging;
};

// InvalidArgument for places that contradict themselves or are none; otherwise the adapter's own
// errors. A region that is not given is AWS_REGION, or us-east-1.
absl::StatusOr<OpenedBlobs> OpenBlobs(const BlobPlaces& places);
// The same, to look at beside the coordinators that have them: sweeps nothing. Of folders there is
// no staging area, which one process has; NotFound if there is no folder.
absl::StatusOr<OpenedBlobs> OpenBlobsForReading(const BlobPlaces& places);
// The part of it that needs neither folder, store nor credentials.
absl::Status CheckBlobPlaces(const BlobPlaces& places);

}  // namespace muster
