// Blobs to and from the coordinator: resumable in both directions, in chunks, with a deadline on
// every call. Counts what crossed the wire.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "client/agent/bounds.h"
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
};

class BlobTransfer final : public BlobSource {
 public:
  explicit BlobTransfer(std::shared_ptr<grpc::ChannelInterface> channel);
  ~BlobTransfer() override;

  absl::Status Read(const Digest& digest, uint64_t offset, const Sink& sink,
                    const Bounds& bounds) override;
  // Stages `file`, whose digest it is, going on from what the coordinator holds already. OK: it is
  // durable there.
  absl::Status Upload(const Digest& digest, const std::filesystem::path& file,
                      const Bounds& bounds);

  uint64_t bytes_down() const { return bytes_down_; }
  uint64_t bytes_up() const { return bytes_up_; }

 private:
  struct Impl;
  absl::Status UploadFrom(const Digest& digest, const std::filesystem::path& file, uint64_t offset,
                          uint64_t size, const Bounds& bounds, uint64_t* reached);

  std::unique_ptr<Impl> impl_;
  std::atomic<uint64_t> bytes_down_{0}, bytes_up_{0};
};

}  // namespace muster
