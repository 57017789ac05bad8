// What one process knows about an upload between two of its calls. Nothing here is needed by
// another process that goes on with it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coordinator/blobs/s3/staged_keys.h"
#include "proto/core/digest.h"
#include "proto/core/time.h"

namespace muster {

// Bytes that wait to be written, counted together with all others that do.
class WaitingBytes {
 public:
  explicit WaitingBytes(std::atomic<uint64_t>* all) : all_(all) {}
  ~WaitingBytes() { Clear(); }
  WaitingBytes(const WaitingBytes&) = delete;
  WaitingBytes& operator=(const WaitingBytes&) = delete;

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  void Append(std::string_view data) {
    bytes_.append(data);
    *all_ += data.size();
  }
  void CutBackTo(size_t size) {
    *all_ -= bytes_.size() - size;
    bytes_.resize(size);
  }
  void Clear() {
    CutBackTo(0);
    std::string().swap(bytes_);
  }

 private:
  std::atomic<uint64_t>* all_;
  std::string bytes_;
};

struct StagedEntry {
  explicit StagedEntry(std::atomic<uint64_t>* all_waiting) : waiting(all_waiting) {}

  // Written under the area's lock.
  std::optional<uint64_t> total;  // reserved; nothing: there is no upload
  bool busy = false;              // one call has the fields below
  Timestamp touched;

  bool current = false;   // what follows is what the store holds, as far as this process knows
  bool complete = false;  // in the store
  uint64_t durable = 0;   // bytes [0, durable) are in the store
  WaitingBytes waiting;   // the bytes after them
  // Over durable and waiting bytes, while the store holds just the parts in `written`. Absent where
  // this process did not see all bytes.
  std::optional<Sha256Hasher> hasher;
  std::vector<std::pair<std::string, std::string>> written;  // key, ETag

  uint64_t position() const { return complete ? *total : durable + waiting.size(); }

  // Takes over what the store holds. What waits stays only where it still fits.
  void TakeOver(const StoredUpload& stored) {
    const bool same_parts = std::equal(
        stored.parts.begin(), stored.parts.end(), written.begin(), written.end(),
        [](const StoredPart& a, const auto& b) { return a.key == b.first && a.etag == b.second; });
    const uint64_t covered = stored.covered();
    if (covered != durable) waiting.Clear();
    if (!same_parts || covered != durable) {
      hasher.reset();
      written.clear();
    }
    durable = covered;
    complete = stored.complete();
    current = true;
  }
  void StartFresh() {
    waiting.Clear();
    written.clear();
    hasher.emplace();
    durable = 0;
    complete = false;
    current = true;
  }
};

}  // namespace muster
