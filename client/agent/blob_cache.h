// Blobs on this device's disk, by digest: bounded in bytes, least recently used goes first.
// Downloads resume from DIGEST.partial, also after a restart; a blob is used only while its bytes
// have its digest. Thread-safe; one download at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "client/agent/bounds.h"
#include "client/agent/transfer.h"
#include "proto/core/digest.h"

namespace muster {

class BlobCache;

// A blob that stays on disk while this lives.
class CachedBlob {
 public:
  CachedBlob() = default;
  CachedBlob(CachedBlob&& other) noexcept { *this = std::move(other); }
  CachedBlob& operator=(CachedBlob&& other) noexcept;
  ~CachedBlob();

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }

 private:
  friend class BlobCache;
  CachedBlob(BlobCache* cache, const Digest& digest, std::filesystem::path path, uint64_t size)
      : cache_(cache), digest_(digest), path_(std::move(path)), size_(size) {}

  BlobCache* cache_ = nullptr;
  Digest digest_;
  std::filesystem::path path_;
  uint64_t size_ = 0;
};

class BlobCache {
 public:
  // Keeps what an earlier run left, and evicts what is above `max_bytes`.
  static absl::StatusOr<std::unique_ptr<BlobCache>> Open(const std::filesystem::path& dir,
                                                         uint64_t max_bytes);

  // The blob, from disk or else from `source`. `expected_size` 0: not known; otherwise anything
  // else is refused before a byte is stored. A blob that turns out corrupted, on disk or on the
  // way, is fetched again once. Errors: DataLoss (corrupted again), ResourceExhausted (disk full,
  // or above max_bytes with all else pinned), the source's own.
  absl::StatusOr<CachedBlob> Get(const Digest& digest, uint64_t expected_size, BlobSource& source,
                                 const Bounds& bounds);

  // Pinned blobs are never evicted. Replaces the set; blobs need not be there yet.
  void Pin(std::set<Digest> pinned);

  bool Holds(const Digest& digest) const;
  uint64_t bytes() const;  // on disk, partial downloads included

 private:
  friend class CachedBlob;
  struct Entry {
    uint64_t size = 0;
    uint64_t used = 0;  // grows with every use
    uint32_t leases = 0;
    bool partial = false;
  };

  BlobCache(std::filesystem::path dir, uint64_t max_bytes)
      : dir_(std::move(dir)), max_bytes_(max_bytes) {}
  absl::Status Scan();
  std::filesystem::path PathOf(const Digest& digest, bool partial = false) const;
  absl::StatusOr<CachedBlob> Lease(const Digest& digest);
  void Release(const Digest& digest);
  bool IsGood(const Digest& digest, uint64_t expected_size);
  void Drop(const Digest& digest);
  absl::Status MakeRoom(const Digest& digest, uint64_t total);
  absl::Status Fetch(const Digest& digest, uint64_t expected_size, BlobSource& source,
                     const Bounds& bounds);
  absl::Status Install(const Digest& digest);

  const std::filesystem::path dir_;
  const uint64_t max_bytes_;
  std::mutex fetching_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<Digest, Entry> entries_;
  std::set<Digest> pinned_;
  uint64_t bytes_ = 0, clock_ = 0;
};

}  // namespace muster
