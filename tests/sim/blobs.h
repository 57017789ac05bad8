// Blobs and staged uploads of a simulated coordinator: in memory, but with a disk's manners. What
// was appended and not flushed may be gone after a crash. And what a replica's hands can do with
// them, through its Reach.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "coordinator/blobs/blob_store.h"
#include "coordinator/blobs/staging.h"
#include "tests/sim/reach.h"
#include "tests/sim/world.h"

namespace muster::sim {

class MemoryBlobs final : public BlobStore {
 public:
  explicit MemoryBlobs(const World& world) : world_(world) {}
  absl::StatusOr<std::unique_ptr<BlobWriter>> Create() override;
  absl::StatusOr<std::unique_ptr<BlobReader>> Open(const Digest& digest) const override;
  absl::StatusOr<bool> Has(const Digest& digest) const override { return blobs_.contains(digest); }
  absl::Status Delete(const Digest& digest) override;
  absl::StatusOr<bool> Touch(const Digest& digest) override;
  absl::Status List(const std::function<absl::Status(const BlobInfo&)>& visit) const override;
  absl::StatusOr<bool> DeleteIfOlder(const Digest& digest, Timestamp before) override;

 private:
  class Writer;
  struct Blob {
    std::shared_ptr<const std::string> bytes;
    Timestamp modified;
  };
  const World& world_;
  std::map<Digest, Blob> blobs_;
};

class MemoryStaging final : public StagingArea {
 public:
  absl::StatusOr<StagedUpload> Stat(const std::string& owner, const Digest& digest) override;
  absl::Status Append(const std::string& owner, const Digest& digest, uint64_t total_size,
                      uint64_t offset, std::string_view data) override;
  absl::StatusOr<StagedUpload> Flush(const std::string& owner, const Digest& digest) override;
  absl::StatusOr<std::unique_ptr<BlobReader>> Open(const std::string& owner,
                                                   const Digest& digest) override;
  absl::Status Promote(const std::string& owner, const Digest& digest, BlobStore& into) override;
  absl::Status Remove(const std::string& owner, const Digest& digest) override;
  absl::StatusOr<size_t> Sweep(Timestamp before) override;
  absl::StatusOr<AbandonedUploads> CountAbandoned(Timestamp before) override;
  // As after a power cut.
  void LoseUnflushed();

 private:
  struct Upload {
    std::string bytes;
    uint64_t total = 0;
    uint64_t durable = 0;
    bool complete = false;
  };
  std::map<std::pair<std::string, Digest>, Upload> uploads_;
};

class ReachedBlobs final : public BlobStore {
 public:
  ReachedBlobs(BlobStore& inner, Reach& reach) : inner_(inner), reach_(reach) {}
  absl::StatusOr<std::unique_ptr<BlobWriter>> Create() override;
  absl::StatusOr<std::unique_ptr<BlobReader>> Open(const Digest& digest) const override;
  absl::StatusOr<bool> Has(const Digest& digest) const override;
  absl::Status Delete(const Digest& digest) override;
  absl::StatusOr<bool> Touch(const Digest& digest) override;
  absl::Status List(const std::function<absl::Status(const BlobInfo&)>& visit) const override;
  absl::StatusOr<bool> DeleteIfOlder(const Digest& digest, Timestamp before) override;

 private:
  class Writer;
  BlobStore& inner_;
  Reach& reach_;
};

class ReachedStaging final : public StagingArea {
 public:
  ReachedStaging(StagingArea& inner, Reach& reach) : inner_(inner), reach_(reach) {}
  absl::StatusOr<StagedUpload> Stat(const std::string& owner, const Digest& digest) override;
  absl::Status Append(const std::string& owner, const Digest& digest, uint64_t total_size,
                      uint64_t offset, std::string_view data) override;
  absl::StatusOr<StagedUpload> Flush(const std::string& owner, const Digest& digest) override;
  absl::StatusOr<std::unique_ptr<BlobReader>> Open(const std::string& owner,
                                                   const Digest& digest) override;
  absl::Status Promote(const std::string& owner, const Digest& digest, BlobStore& into) override;
  absl::Status Remove(const std::string& owner, const Digest& digest) override;
  absl::StatusOr<size_t> Sweep(Timestamp before) override;
  absl::StatusOr<AbandonedUploads> CountAbandoned(Timestamp before) override;

 private:
  StagingArea& inner_;
  Reach& reach_;
};

}  // namespace muster::sim
