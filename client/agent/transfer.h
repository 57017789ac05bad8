// Blobs to and from the coordinator: resumable in both directions, in chunks, with a deadline on
// every call. Counts what crossed the wire.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/agent/bounds.h"
#include "client/agent/url.h"
#include "proto/core/digest.h"

namespace grpc {
class ChannelInterface;
}

namespace muster {

// One stream moves for at most this long; the next one goes on where it ended.
inline constexpr std::chrono::minutes kTransferDeadline{5};
// Tries in a row that move nothing, before a transfer fails.
inline constexpr uint32_t kMaxIdleTransfers = 5;

// Where blobs come from.
class BlobSource {
 public:
  // Takes consecutive bytes; an error ends the stream and becomes its status.
  using Sink = std::function<absl::Status(uint64_t total_size, std::string_view data)>;

  virtual ~BlobSource() = default;
  // One stream from `offset` to the end. OK: all of it came.
  virtual absl::Status Read(const Digest& digest, uint64_t offset, const Sink& sink,
                            const Bounds& bounds) = 0;
  // What came had another digest: where there is another way to this blob, take it from now on.
  virtual void CameCorrupted(const Digest&) {}
};

// After a URL that gave nothing, no other one is tried for so long.
inline constexpr std::chrono::minutes kDirectPause{10};

struct BlobTransferOptions {
  // Take large blobs from the URL that the coordinator names, when it names one. What does not come
  // from there, whole and good, comes through the coordinator.
  bool direct = true;
  UrlFetchOptions urls;
};

class BlobTransfer final : public BlobSource {
 public:
  explicit BlobTransfer(std::shared_ptr<grpc::ChannelInterface> channel,
                        BlobTransferOptions options = {});
  ~BlobTransfer() override;

  absl::Status Read(const Digest& digest, uint64_t offset, const Sink& sink,
                    const Bounds& bounds) override;
  void CameCorrupted(const Digest& digest) override;
  // Stages `file`, whose digest it is, going on from what the coordinator holds already. OK: it is
  // durable there.
  absl::Status Upload(const Digest& digest, const std::filesystem::path& file,
                      const Bounds& bounds);

  uint64_t bytes_down() const { return bytes_down_; }
  uint64_t bytes_direct() const { return bytes_direct_; }  // of them, not through the coordinator
  uint64_t bytes_up() const { return bytes_up_; }

 private:
  struct Impl;
  struct Elsewhere {
    std::string url;  // empty: the bytes went to the sink
    uint64_t total_size = 0;
  };
  absl::StatusOr<Elsewhere> ReadStream(const Digest& digest, uint64_t offset, bool accept_url,
                                       const Sink& sink, const Bounds& bounds);
  // From `offset` to the end, no more and no less.
  absl::Status ReadUrl(const Elsewhere& there, uint64_t offset, const Sink& sink,
                       const Bounds& bounds);
  bool MayGoDirectly(const Digest& digest);
  absl::Status UploadFrom(const Digest& digest, const std::filesystem::path& file, uint64_t offset,
                          uint64_t size, const Bounds& bounds, uint64_t* reached);

  std::unique_ptr<Impl> impl_;
  const BlobTransferOptions options_;
  std::atomic<uint64_t> bytes_down_{0}, bytes_direct_{0}, bytes_up_{0};
  std::mutex mutex_;
  std::set<Digest> corrupted_;                            // only through the coordinator
  std::chrono::steady_clock::time_point direct_after_{};  // no URLs before
};

}  // namespace muster
