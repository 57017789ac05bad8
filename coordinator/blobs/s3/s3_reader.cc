#include "coordinator/blobs/s3/s3_reader.h"

#include <algorithm>
#include <mutex>

#include "coordinator/blobs/s3/s3_limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

class S3Reader final : public BlobReader {
 public:
  S3Reader(std::shared_ptr<S3Client> client, std::string key, std::string what, uint64_t size,
           std::string first)
      : client_(std::move(client)),
        key_(std::move(key)),
        what_(std::move(what)),
        size_(size),
        window_(std::move(first)) {}

  uint64_t size() const override { return size_; }

  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) const override {
    if (offset >= size_ || out.empty()) return 0;
    out = out.first(std::min<uint64_t>(out.size(), size_ - offset));
    std::lock_guard lock(mutex_);
    if (!InWindow(offset, out.size())) {
      // Large reads go where they are wanted; around small ones a window is fetched.
      if (out.size() >= limits::kS3FirstReadBytes) return Fetch(offset, out);
      std::string window(std::min<uint64_t>(limits::kS3FirstReadBytes, size_ - offset), '\0');
      MUSTER_RETURN_IF_ERROR(Fetch(offset, window).status());
      window_ = std::move(window);
      window_at_ = offset;
    }
    std::copy_n(window_.data() + (offset - window_at_), out.size(), out.data());
    return out.size();
  }

 private:
  bool InWindow(uint64_t offset, uint64_t size) const {
    return offset >= window_at_ && offset + size <= window_at_ + window_.size();
  }

  absl::StatusOr<size_t> Fetch(uint64_t offset, std::span<char> out) const {
    absl::StatusOr<S3Slice> slice = client_->Get(key_, offset, out);
    if (absl::IsNotFound(slice.status())) {
      return absl::NotFoundError(StrCat(what_, " was deleted while it was read"));
    }
    MUSTER_RETURN_IF_ERROR(slice.status());
    if (slice->total != size_) {
      return absl::DataLossError(StrCat(what_, " has ", slice->total, " bytes where it had ", size_,
                                        "; somebody changed ", key_));
    }
    return slice->received;
  }

  const std::shared_ptr<S3Client> client_;
  const std::string key_, what_;
  const uint64_t size_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::string window_;
  mutable uint64_t window_at_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlobReader>> OpenS3Object(std::shared_ptr<S3Client> client,
                                                         const std::string& key,
                                                         const std::string& what) {
  std::string first(limits::kS3FirstReadBytes, '\0');
  absl::StatusOr<S3Slice> slice = client->Get(key, 0, first);
  if (absl::IsNotFound(slice.status())) {
    return absl::NotFoundError(StrCat("there is no ", what, " at ", key));
  }
  MUSTER_RETURN_IF_ERROR(slice.status());
  first.resize(slice->received);
  first.shrink_to_fit();
  return std::make_unique<S3Reader>(std::move(client), key, what, slice->total, std::move(first));
}

}  // namespace muster
