#include "tests/sim/blobs.h"

#include <algorithm>

#include "proto/core/status.h"

namespace muster::sim {
namespace {

class MemoryReader final : public BlobReader {
 public:
  explicit MemoryReader(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_->size(); }
  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) const override {
    if (offset >= bytes_->size()) return 0;
    return bytes_->copy(out.data(), out.size(), offset);
  }

 private:
  const std::shared_ptr<const std::string> bytes_;
};

}  // namespace

class MemoryBlobs::Writer final : public BlobWriter {
 public:
  explicit Writer(MemoryBlobs& blobs) : blobs_(blobs) {}
  absl::Status Append(std::string_view bytes) override {
    bytes_.append(bytes);
    return absl::OkStatus();
  }
  absl::StatusOr<Digest> Commit() override {
    const Digest digest = Sha256(bytes_);
    Blob& blob = blobs_.blobs_[digest];
    if (blob.bytes == nullptr) blob.bytes = std::make_shared<const std::string>(std::move(bytes_));
    blob.modified = blobs_.world_.now();
    return digest;
  }

 private:
  MemoryBlobs& blobs_;
  std::string bytes_;
};

absl::StatusOr<std::unique_ptr<BlobWriter>> MemoryBlobs::Create() {
  return std::make_unique<Writer>(*this);
}

absl::StatusOr<std::unique_ptr<BlobReader>> MemoryBlobs::Open(const Digest& digest) const {
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return absl::NotFoundError("no such blob");
  return std::make_unique<MemoryReader>(found->second.bytes);
}

absl::Status MemoryBlobs::Delete(const Digest& digest) {
  blobs_.erase(digest);
  return absl::OkStatus();
}

absl::StatusOr<bool> MemoryBlobs::Touch(const Digest& digest) {
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return false;
  found->second.modified = world_.now();
  return true;
}

absl::Status MemoryBlobs::List(const std::function<absl::Status(const BlobInfo&)>& visit) const {
  for (const auto& [digest, blob] : blobs_) {
    MUSTER_RETURN_IF_ERROR(visit({digest, blob.bytes->size(), blob.modified}));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> MemoryBlobs::DeleteIfOlder(const Digest& digest, Timestamp before) {
  const auto found = blobs_.find(digest);
  if (found == blobs_.end() || found->second.modified >= before) return false;
  blobs_.erase(found);
  return true;
}

absl::StatusOr<StagedUpload> MemoryStaging::Stat(const std::string& owner, const Digest& digest) {
  const auto found = uploads_.find({owner, digest});
  if (found == uploads_.end()) return StagedUpload{};
  return StagedUpload{found->second.durable, found->second.complete};
}

absl::Status MemoryStaging::Append(const std::string& owner, const Digest& digest,
                                   uint64_t total_size, uint64_t offset, std::string_view data) {
  Upload& upload = uploads_[{owner, digest}];
  if (upload.complete) return absl::OkStatus();
  if (offset == 0 && upload.total != total_size) upload = {.total = total_size};
  if (offset != upload.bytes.size()) {
    return absl::OutOfRangeError("the upload stands somewhere else");
  }
  upload.bytes.append(data);
  return absl::OkStatus();
}

absl::StatusOr<StagedUpload> MemoryStaging::Flush(const std::string& owner, const Digest& digest) {
  const auto found = uploads_.find({owner, digest});
  if (found == uploads_.end()) return StagedUpload{};
  Upload& upload = found->second;
  upload.durable = upload.bytes.size();
  if (upload.durable == upload.total && !upload.complete) {
    if (Sha256(upload.bytes) != digest) {
      uploads_.erase(found);
      return absl::DataLossError("the bytes are not those of the digest");
    }
    upload.complete = true;
  }
  return StagedUpload{upload.durable, upload.complete};
}

absl::StatusOr<std::unique_ptr<BlobReader>> MemoryStaging::Open(const std::string& owner,
                                                                const Digest& digest) {
  const auto found = uploads_.find({owner, digest});
  if (found == uploads_.end()) return absl::NotFoundError("no such upload");
  if (!found->second.complete) return absl::FailedPreconditionError("the upload is not complete");
  return std::make_unique<MemoryReader>(std::make_shared<const std::string>(found->second.bytes));
}

absl::Status MemoryStaging::Promote(const std::string& owner, const Digest& digest,
                                    BlobStore& into) {
  const auto found = uploads_.find({owner, digest});
  if (found == uploads_.end()) return absl::NotFoundError("no such upload");
  MUSTER_RETURN_IF_ERROR(PutBlob(into, found->second.bytes).status());
  uploads_.erase(found);
  return absl::OkStatus();
}

absl::Status MemoryStaging::Remove(const std::string& owner, const Digest& digest) {
  uploads_.erase({owner, digest});
  return absl::OkStatus();
}

absl::StatusOr<size_t> MemoryStaging::Sweep(Timestamp) {
  return std::exchange(uploads_, {}).size();
}

absl::StatusOr<AbandonedUploads> MemoryStaging::CountAbandoned(Timestamp) {
  AbandonedUploads all{.count = uploads_.size()};
  for (const auto& [key, upload] : uploads_) all.bytes += upload.bytes.size();
  return all;
}

void MemoryStaging::LoseUnflushed() {
  for (auto& [key, upload] : uploads_) upload.bytes.resize(upload.durable);
}

class ReachedBlobs::Writer final : public BlobWriter {
 public:
  Writer(std::unique_ptr<BlobWriter> inner, Reach& reach)
      : inner_(std::move(inner)), reach_(reach) {}
  absl::Status Append(std::string_view bytes) override {
    MUSTER_RETURN_IF_ERROR(reach_.Look());
    return inner_->Append(bytes);
  }
  absl::StatusOr<Digest> Commit() override {
    Digest digest;
    MUSTER_RETURN_IF_ERROR(reach_.Persist("blob", [&]() -> absl::Status {
      MUSTER_ASSIGN_OR_RETURN(digest, inner_->Commit());
      return absl::OkStatus();
    }));
    return digest;
  }

 private:
  const std::unique_ptr<BlobWriter> inner_;
  Reach& reach_;
};

absl::StatusOr<std::unique_ptr<BlobWriter>> ReachedBlobs::Create() {
  MUSTER_RETURN_IF_ERROR(reach_.Look());
  MUSTER_ASSIGN_OR_RETURN(auto inner, inner_.Create());
  return std::make_unique<Writer>(std::move(inner), reach_);
}

absl::StatusOr<std::unique_ptr<BlobReader>> ReachedBlobs::Open(const Digest& digest) const {
  MUSTER_RETURN_IF_ERROR(reach_.Look());
  return inner_.Open(digest);
}

absl::StatusOr<bool> ReachedBlobs::Has(const Digest& digest) const {
  MUSTER_RETURN_IF_ERROR(reach_.Look());
  return inner_.Has(digest);
}

absl::Status ReachedBlobs::Delete(const Digest& digest) {
  return reach_.Persist("delete blob", [&] { return inner_.Delete(digest); });
}

absl::StatusOr<bool> ReachedBlobs::Touch(const Digest& digest) {
  bool there = false;
  MUSTER_RETURN_IF_ERROR(reach_.Persist("touch blob", [&]() -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(there, inner_.Touch(digest));
    return absl::OkStatus();
  }));
  return there;
}

absl::Status ReachedBlobs::List(const std::function<absl::Status(const BlobInfo&)>& visit) const {
  MUSTER_RETURN_IF_ERROR(reach_.Look());
  return inner_.List(visit);
}

absl::StatusOr<bool> ReachedBlobs::DeleteIfOlder(const Digest& digest, Timestamp before) {
  bool deleted = false;
  MUSTER_RETURN_IF_ERROR(reach_.Persist("delete old blob", [&]() -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(deleted, inner_.DeleteIfOlder(digest, before));
    return absl::OkStatus();
  }));
  return deleted;
}

absl::StatusOr<StagedUpload> ReachedStaging::Stat(const std::string& owner, const Digest& digest) {
  MUSTER_RETURN_IF_ERROR(reach_.Look());
  return inner_.Stat(owner, digest);
}

absl::Status ReachedStaging::Append(const std::string& owner, const Digest& digest,
                                    uint64_t total_size, uint64_t offset, std::string_view data) {
  return reach_.Persist("append",
                        [&] { return inner_.Append(owner, digest, total_size, offset, data); });
}

absl::StatusOr<StagedUpload> ReachedStaging::Flush(const std::string& owner, const Digest& digest) {
  StagedUpload held;
  MUSTER_RETURN_IF_ERROR(reach_.Persist("flush", [&]() -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(held, inner_.Flush(owner, digest));
    return absl::OkStatus();
  }));
  return held;
}

absl::StatusOr<std::unique_ptr<BlobReader>> ReachedStaging::Open(const std::string& owner,
                                                                 const Digest& digest) {
  MUSTER_RETURN_IF_ERROR(reach_.Look());
  return inner_.Open(owner, digest);
}

absl::Status ReachedStaging::Promote(const std::string& owner, const Digest& digest,
                                     BlobStore& into) {
  return reach_.Persist("promote", [&] { return inner_.Promote(owner, digest, into); });
}

absl::Status ReachedStaging::Remove(const std::string& owner, const Digest& digest) {
  return reach_.Persist("remove upload", [&] { return inner_.Remove(owner, digest); });
}

absl::StatusOr<size_t> ReachedStaging::Sweep(Timestamp before) {
  MUSTER_RETURN_IF_ERROR(reach_.Look());
  return inner_.Sweep(before);
}

absl::StatusOr<AbandonedUploads> ReachedStaging::CountAbandoned(Timestamp before) {
  MUSTER_RETURN_IF_ERROR(reach_.Look());
  return inner_.CountAbandoned(before);
}

}  // namespace muster::sim
