// The class of the staging area in a folder; staging.h is its door. directory_staging_append.cc has
// what brings bytes in, directory_staging.cc the rest.
//
// DIR/OWNER/DIGEST.TOTAL.part while bytes come in, DIR/OWNER/DIGEST.done once all are there and
// hash to DIGEST. File names and sizes are the whole state, so it survives a restart.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "coordinator/blobs/directory/upload_file.h"
#include "coordinator/blobs/staging.h"

namespace muster {

// Owners become folder names: what is not plainly safe is written %XX.
absl::StatusOr<std::string> UploadFolderName(const std::string& owner);

struct DirectoryUpload {
  uint64_t total = 0;
  uint64_t size = 0;     // bytes held
  uint64_t durable = 0;  // of them, known to be on the disk
  bool entry_durable = false;
  bool complete = false;  // written under the lock, as `busy` and `total` are
  bool busy = false;      // one call works on the file and the other fields without the lock
  // Over the first `size` bytes; absent after a restart or a failed write: then the file is read.
  std::optional<Sha256Hasher> hasher;

  // Bytes were lost.
  void StandAt(uint64_t offset) {
    size = offset;
    durable = std::min(durable, offset);
    hasher.reset();
  }
};

struct DirectoryUploadKey {
  std::string folder;
  Digest digest;
  friend auto operator<=>(const DirectoryUploadKey&, const DirectoryUploadKey&) = default;
};

class DirectoryStaging final : public StagingArea {
 public:
  DirectoryStaging(std::filesystem::path root, StagingLimits limits,
                   std::unique_ptr<UploadFile> format)
      : root_(std::move(root)), limits_(limits), format_(std::move(format)) {}

  absl::Status Load();

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
  using Upload = DirectoryUpload;
  using Key = DirectoryUploadKey;

  // Marks an upload as in use; frees it when it goes.
  class Hold {
   public:
    Hold(DirectoryStaging* area, Key key, Upload* upload)
        : area_(area), key_(std::move(key)), upload_(upload) {}
    Hold(Hold&& other) noexcept
        : area_(std::exchange(other.area_, nullptr)),
          key_(std::move(other.key_)),
          upload_(other.upload_) {}
    ~Hold() {
      if (area_ == nullptr) return;
      std::lock_guard lock(area_->mutex_);
      upload_->busy = false;
    }
    Upload& operator*() const { return *upload_; }
    Upload* operator->() const { return upload_; }
    const Key& key() const { return key_; }
    // The upload is no more. Its file must be gone already.
    void Forget() {
      std::lock_guard lock(area_->mutex_);
      area_->uploads_.erase(key_);
      area_ = nullptr;
    }

   private:
    DirectoryStaging* area_;
    Key key_;
    Upload* upload_;
  };

  absl::Status LoadFolder(const std::string& folder);
  absl::Status LoadFile(const std::string& folder, const std::string& name);
  // NotFound if there is none, Aborted if another call works on it.
  absl::StatusOr<Hold> Acquire(const std::string& owner, const Digest& digest);
  absl::StatusOr<Hold> AcquireOrCreate(const std::string& owner, const Digest& digest,
                                       uint64_t total_size, uint64_t offset);
  absl::Status CheckLimits(const Key& key, uint64_t total_size) const;
  absl::StatusOr<std::unique_ptr<BlobReader>> OpenWhole(const std::string& owner,
                                                        const Digest& digest);
  absl::Status Corrupted(const std::string& owner, const Digest& digest);
  absl::StatusOr<StagedUpload> FlushHeld(Hold& hold);
  absl::Status Complete(Hold& hold);
  std::filesystem::path PathOf(const Key& key, const Upload& upload) const;
  bool Abandoned(const Key& key, const Upload& upload, Timestamp before, uint64_t& bytes) const;

  const std::filesystem::path root_;
  const StagingLimits limits_;
  const std::unique_ptr<UploadFile> format_;
  std::mutex mutex_;
  std::map<Key, Upload> uploads_;  // nodes stay where they are while they are held
};

}  // namespace muster
