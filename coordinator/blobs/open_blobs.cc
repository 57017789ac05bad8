#include "coordinator/blobs/open_blobs.h"

#include <cstdlib>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/blobs/s3/s3_blobs.h"
#include "coordinator/blobs/s3/s3_staging.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

absl::StatusOr<OpenedBlobs> OpenFolders(const BlobPlaces& places) {
  OpenedBlobs opened;
  MUSTER_ASSIGN_OR_RETURN(opened.blobs, OpenDirectoryBlobs(places.blob_folder));
  MUSTER_ASSIGN_OR_RETURN(
      opened.staging, places.at_rest_keys == nullptr
                          ? StagingArea::Open(places.staging_folder)
                          : StagingArea::OpenSealed(places.staging_folder, places.at_rest_keys));
  return opened;
}

absl::StatusOr<std::shared_ptr<S3Client>> MakeS3Client(const BlobPlaces& places) {
  S3Options options;
  MUSTER_ASSIGN_OR_RETURN(options.location, ParseS3Url(places.url));
  options.endpoint = places.s3_endpoint;
  options.public_endpoint = places.s3_public_endpoint;
  const char* const region = std::getenv("AWS_REGION");
  if (region != nullptr && *region != '\0') options.region = region;
  if (!places.s3_region.empty()) options.region = places.s3_region;
  options.ca_file = places.s3_ca_file;
  MUSTER_ASSIGN_OR_RETURN(options.credentials, LoadS3Credentials(places.s3_credentials));
  return S3Client::Create(std::move(options));
}

}  // namespace

absl::Status CheckBlobPlaces(const BlobPlaces& places) {
  if (!places.url.empty()) return ParseS3Url(places.url).status();
  if (places.s3_endpoint.empty() && places.s3_public_endpoint.empty() && places.s3_region.empty() &&
      places.s3_ca_file.empty() && places.s3_credentials.empty()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "there are --s3-... options without --blobs s3://BUCKET/PREFIX; add it, or leave them out");
}

absl::StatusOr<OpenedBlobs> OpenBlobs(const BlobPlaces& places) {
  MUSTER_RETURN_IF_ERROR(CheckBlobPlaces(places));
  if (places.url.empty()) return OpenFolders(places);
  MUSTER_ASSIGN_OR_RETURN(const std::shared_ptr<S3Client> client, MakeS3Client(places));
  if (client->options().endpoint.starts_with("http://")) {
    LogWarning("blobs travel unencrypted between here and the S3 store",
               {{"endpoint", client->options().endpoint}});
  }
  OpenedBlobs opened;
  MUSTER_ASSIGN_OR_RETURN(opened.blobs, S3Blobs::Open(client));
  opened.staging = OpenS3Staging(client, {}, places.at_rest_keys);
  return opened;
}

absl::StatusOr<OpenedBlobs> OpenBlobsForReading(const BlobPlaces& places) {
  MUSTER_RETURN_IF_ERROR(CheckBlobPlaces(places));
  OpenedBlobs opened;
  if (places.url.empty()) {
    MUSTER_ASSIGN_OR_RETURN(opened.blobs, OpenDirectoryBlobsForReading(places.blob_folder));
    return opened;
  }
  MUSTER_ASSIGN_OR_RETURN(const std::shared_ptr<S3Client> client, MakeS3Client(places));
  MUSTER_ASSIGN_OR_RETURN(opened.blobs, S3Blobs::OpenUnswept(client));
  opened.staging = OpenS3Staging(client, {}, places.at_rest_keys);
  return opened;
}

}  // namespace muster
