// Uploads that nobody has consumed yet: one file for each (owner, digest), resumable, never served
// to anyone. Thread-safe. An owner's uploads are bounded in bytes and in number.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/blobs/at_rest/at_rest_keys.h"
#include "coordinator/blobs/blob_store.h"
#include "proto/core/digest.h"
#include "proto/core/time.h"

namespace muster {

struct StagedUpload {
  uint64_t offset = 0;    // bytes held
  bool complete = false;  // held whole; the digest agreed
};

struct AbandonedUploads {
  size_t count = 0;
  uint64_t bytes = 0;  // that they take
};

struct StagingLimits {
  uint64_t max_bytes_per_owner = 16ull << 30;
  uint32_t max_uploads_per_owner = 16;
};

class StagingArea {
 public:
  static absl::StatusOr<std::unique_ptr<StagingArea>> Open(const std::filesystem::path& directory,
                                                           StagingLimits limits = {});
  // What lies on the disk is sealed with `keys` (at_rest/sealed_format.h): the last segment of an
  // upload that is not complete may be lost with a crash, and Stat then says so. Files that are not
  // sealed are removed. FailedPrecondition if a key is missing that sealed one of the uploads.
  static absl::StatusOr<std::unique_ptr<StagingArea>> OpenSealed(
      const std::filesystem::path& directory, std::shared_ptr<const AtRestKeys> keys,
      StagingLimits limits = {});
  virtual ~StagingArea() = default;

  // How far the upload is, durably; {0, false} if there is none. Completes it where only that was
  // missing.
  virtual absl::StatusOr<StagedUpload> Stat(const std::string& owner, const Digest& digest) = 0;
  // Appends at `offset`, which must be where the upload stands (OutOfRange otherwise, naming the
  // right offset). One writer at a time for each upload; Aborted for a second one. The first call
  // reserves `total_size` bytes of the owner's limit (ResourceExhausted above it); starting again
  // at 0 with another size starts over. A full disk (ResourceExhausted) keeps what the upload held.
  virtual absl::Status Append(const std::string& owner, const Digest& digest, uint64_t total_size,
                              uint64_t offset, std::string_view data) = 0;
  // Makes what was appended durable. When all bytes are there: checks the digest; a mismatch
  // deletes the upload and answers DataLoss.
  virtual absl::StatusOr<StagedUpload> Flush(const std::string& owner, const Digest& digest) = 0;
  // A complete upload, for reading. FailedPrecondition if it is not complete, NotFound if absent.
  virtual absl::StatusOr<std::unique_ptr<BlobReader>> Open(const std::string& owner,
                                                           const Digest& digest) = 0;
  // Moves a complete upload into the blob store.
  virtual absl::Status Promote(const std::string& owner, const Digest& digest, BlobStore& into) = 0;
  // Absent is fine.
  virtual absl::Status Remove(const std::string& owner, const Digest& digest) = 0;
  // Deletes uploads that nobody touched since `before`; returns how many.
  virtual absl::StatusOr<size_t> Sweep(Timestamp before) = 0;
  // What Sweep would delete.
  virtual absl::StatusOr<AbandonedUploads> CountAbandoned(Timestamp before) = 0;
};

}  // namespace muster
