// BlobStore in an S3-compatible store: PREFIX/ab/abcdef... holds the blob whose SHA-256 starts with
// ab. Any number of processes may share a prefix. The store must be strongly consistent, as S3 is.
// Why large blobs pass through PREFIX/tmp: decisions/01-digest-after-the-bytes.md.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/blobs/blob_store.h"
#include "coordinator/blobs/blob_urls.h"
#include "coordinator/blobs/s3/s3_ages.h"
#include "coordinator/blobs/s3/s3_client.h"

namespace muster {

class S3Blobs final : public BlobStore, public BlobUrls {
 public:
  // Looks at the bucket, and sweeps uploads older than options.leftover_age that a crash left.
  static absl::StatusOr<std::unique_ptr<S3Blobs>> Open(std::shared_ptr<S3Client> client);
  // For who only looks: the first Create() sweeps.
  static absl::StatusOr<std::unique_ptr<S3Blobs>> OpenUnswept(std::shared_ptr<S3Client> client);

  // Large ones go up part by part while they are appended: memory for one part.
  absl::StatusOr<std::unique_ptr<BlobWriter>> Create() override;
  absl::StatusOr<std::unique_ptr<BlobReader>> Open(const Digest& digest) const override;
  absl::StatusOr<bool> Has(const Digest& digest) const override;
  absl::Status Delete(const Digest& digest) override;
  // Ages are by the store's clock.
  absl::StatusOr<bool> Touch(const Digest& digest) override;
  absl::Status List(const std::function<absl::Status(const BlobInfo&)>& visit) const override;
  absl::StatusOr<bool> DeleteIfOlder(const Digest& digest, Timestamp before) override;
  // By options.public_endpoint.
  absl::StatusOr<std::string> Presign(const Digest& digest, Duration lifetime) const override;

  // Makes a blob of objects of the same client, in the store. Whoever calls knows that their bytes
  // hash to `digest`.
  absl::Status Adopt(const std::vector<S3Source>& sources, const Digest& digest);
  const std::shared_ptr<S3Client>& client() const { return client_; }

 private:
  explicit S3Blobs(std::shared_ptr<S3Client> client)
      : client_(std::move(client)), ages_(std::make_shared<S3Ages>(client_)) {}
  absl::Status Sweep();

  const std::shared_ptr<S3Client> client_;
  const std::shared_ptr<S3Ages> ages_;
  std::atomic<int64_t> swept_at_us_{0};  // by the store's clock
};

}  // namespace muster
