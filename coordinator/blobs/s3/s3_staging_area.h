// The staging area's class; s3_staging.h is its door. s3_staging_append.cc has what brings bytes
// in, s3_staging.cc the rest.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "coordinator/blobs/s3/s3_client.h"
#include "coordinator/blobs/s3/staged_entry.h"
#include "coordinator/blobs/s3/staged_keys.h"
#include "coordinator/blobs/staging.h"
#include "proto/core/strings.h"
#include "proto/core/time.h"

namespace muster {

struct StagedName {
  std::string owner;  // as StagedOwner() writes it
  Digest digest;
  std::string text() const { return StrCat("upload ", digest.hex()); }
  friend auto operator<=>(const StagedName&, const StagedName&) = default;
};

class S3Staging final : public StagingArea {
 public:
  S3Staging(std::shared_ptr<S3Client> client, StagingLimits limits,
            std::shared_ptr<const AtRestKeys> keys)
      : client_(std::move(client)), limits_(limits), keys_(std::move(keys)) {}

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
  // Has an upload's entry. An entry that says nothing the store does not say goes with it.
  class Hold {
   public:
    Hold(S3Staging* area, StagedName name, StagedEntry* entry)
        : area_(area), name_(std::move(name)), entry_(entry) {}
    Hold(Hold&& other) noexcept
        : area_(std::exchange(other.area_, nullptr)),
          name_(std::move(other.name_)),
          entry_(other.entry_) {}
    ~Hold() {
      if (area_ == nullptr) return;
      std::lock_guard lock(area_->mutex_);
      entry_->busy = false;
      entry_->touched = area_->clock_.Now();
      if (!entry_->total.has_value() || entry_->complete) area_->entries_.erase(name_);
    }
    StagedEntry* operator->() const { return entry_; }
    StagedEntry& operator*() const { return *entry_; }
    const StagedName& name() const { return name_; }
    // There is no such upload (any more).
    void Forget() { SetTotal(std::nullopt); }
    void SetTotal(std::optional<uint64_t> total) {
      std::lock_guard lock(area_->mutex_);
      entry_->total = total;
    }

   private:
    S3Staging* area_;
    StagedName name_;
    StagedEntry* entry_;
  };

  absl::StatusOr<Hold> Acquire(const std::string& owner, const Digest& digest);
  std::string Key(const StagedName& name, uint64_t total, const std::string& object) const {
    return client_->Key(StrCat("staging/", StagedFolder(name.owner, name.digest, total), object));
  }
  // What is stored below staging/`below`.
  absl::StatusOr<StoredUploads> List(const std::string& below);
  absl::StatusOr<StoredUploads> ListOne(const StagedName& name) {
    return List(StrCat(name.owner, "/", name.digest.hex(), "."));
  }
  absl::Status Delete(const StoredUpload& upload);
  bool IsBusy(const StagedUploadName& name);
  absl::Status Reserve(Hold& hold, uint64_t total, const StoredUploads& stored);
  absl::Status Prepare(Hold& hold, uint64_t total, uint64_t offset);
  absl::Status Add(Hold& hold, std::string_view data);
  absl::Status WritePart(Hold& hold);
  // Sealed where uploads are; the ETag.
  absl::StatusOr<std::string> PutObject(const std::string& key, const std::string& bytes);
  absl::Status Lose(Hold& hold, const StoredUpload& upload, const Digest& found);
  absl::StatusOr<StagedUpload> FlushHeld(Hold& hold);
  absl::StatusOr<StagedUpload> CompleteInOne(Hold& hold);
  absl::StatusOr<StagedUpload> CompleteOfParts(Hold& hold);
  absl::StatusOr<StoredUpload> FindComplete(const std::string& owner, const StagedName& name);
  absl::Status Stream(const StoredUpload& upload, const Digest& digest, BlobStore& into);

  const std::shared_ptr<S3Client> client_;
  const StagingLimits limits_;
  const std::shared_ptr<const AtRestKeys> keys_;  // null: nothing is sealed
  SystemClock clock_;
  std::atomic<uint64_t> waiting_{0};  // bytes of all entries; outlives them
  std::mutex mutex_;
  std::map<StagedName, StagedEntry> entries_;  // nodes stay where they are while they are held
};

// Of the uploads of one digest: the complete one, else the one of `total` bytes, else any. (Two
// sizes of one digest are what a start over leaves that was cut off.)
const StoredUpload* PickStaged(const StoredUploads& stored, const StagedName& name,
                               const std::optional<uint64_t>& total);

// DataLoss for an upload whose bytes hash to something else.
absl::Status StagedBytesLost(const StagedName& name, const Digest& found);

}  // namespace muster
