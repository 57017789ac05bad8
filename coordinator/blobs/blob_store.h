// BlobStore: immutable bytes, named by their SHA-256. The contract suite is tests/contract/blobs.
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/digest.h"
#include "proto/core/time.h"

namespace muster {

class BlobReader {
 public:
  virtual ~BlobReader() = default;
  virtual uint64_t size() const = 0;
  // Fills `out` from `offset`; returns the bytes read, fewer only at the end.
  virtual absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) const = 0;
};

// Bytes on their way in. Dropped without Commit, they leave nothing behind.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual absl::Status Append(std::string_view bytes) = 0;
  // Durable when it returns. A blob that exists already is fine.
  virtual absl::StatusOr<Digest> Commit() = 0;
};

struct BlobInfo {
  Digest digest;
  uint64_t size = 0;   // bytes that it takes
  Timestamp modified;  // when it was written or touched last
};

class BlobStore {
 public:
  virtual ~BlobStore() = default;
  virtual absl::StatusOr<std::unique_ptr<BlobWriter>> Create() = 0;
  virtual absl::StatusOr<std::unique_ptr<BlobReader>> Open(const Digest& digest) const = 0;
  virtual absl::StatusOr<bool> Has(const Digest& digest) const = 0;
  virtual absl::Status Delete(const Digest& digest) = 0;  // absent is fine

  // For garbage collection, which removes blobs that nothing refers to and that were neither
  // written nor touched for a while. So whoever is about to refer to a blob that he did not write
  // himself touches it first.
  //
  // Has(), and the blob counts as written now.
  virtual absl::StatusOr<bool> Touch(const Digest& digest) = 0;
  // Every blob, in any order. What comes and goes meanwhile may or may not be shown. An error of
  // `visit` ends it and is the result.
  virtual absl::Status List(const std::function<absl::Status(const BlobInfo&)>& visit) const = 0;
  // Deletes the blob unless it was written or touched at `before` or later, also by somebody who
  // does it at this moment. Returns whether it was deleted.
  virtual absl::StatusOr<bool> DeleteIfOlder(const Digest& digest, Timestamp before) = 0;
};

absl::StatusOr<Digest> PutBlob(BlobStore& blobs, std::string_view bytes);
// ResourceExhausted above `max_bytes`.
absl::StatusOr<std::string> GetBlob(const BlobStore& blobs, const Digest& digest,
                                    uint64_t max_bytes);

}  // namespace muster
