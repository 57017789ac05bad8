// What a BlobStore may be besides: one that serves blobs by URL, to whoever has the URL. It is an
// interface of its own so that a store which wraps another, and changes its bytes, does not hand
// out the other's URLs by accident.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/blobs/blob_store.h"
#include "proto/core/digest.h"
#include "proto/core/time.h"

namespace muster {

inline constexpr Duration kMaxPresignLifetime = std::chrono::hours(24 * 7);  // S3's own

// When devices are sent to the store itself.
struct DirectDownloads {
  uint64_t above_bytes = 16ull << 20;            // blobs that are larger; 0: never
  Duration lifetime = std::chrono::minutes(60);  // of a URL; at most kMaxPresignLifetime
};

class BlobUrls {
 public:
  virtual ~BlobUrls() = default;
  // An http(s) URL by which anybody may fetch the blob, in ranges, for `lifetime`.
  virtual absl::StatusOr<std::string> Presign(const Digest& digest, Duration lifetime) const = 0;
};

// Nothing where `blobs` serves no URLs.
inline absl::StatusOr<std::optional<std::string>> PresignBlob(const BlobStore& blobs,
                                                              const Digest& digest,
                                                              Duration lifetime) {
  const auto* const urls = dynamic_cast<const BlobUrls*>(&blobs);
  if (urls == nullptr) return std::nullopt;
  return urls->Presign(digest, lifetime);
}

}  // namespace muster
