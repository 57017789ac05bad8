// Staging in a folder: DIR/OWNER/DIGEST.TOTAL.part while bytes come in, DIR/OWNER/DIGEST.done once
// all are there and hash to DIGEST. File names and sizes are the whole state, so it survives a
// restart.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "coordinator/blobs/directory/file_io.h"
#include "coordinator/blobs/directory/upload_file.h"
#include "coordinator/blobs/staging.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxOwnerLength = 80;
constexpr size_t kCopyBytes = 1u << 20;

// Owners become folder names: what is not plainly safe is written %XX.
absl::StatusOr<std::string> FolderName(const std::string& owner) {
  if (owner.empty() || owner.size() > kMaxOwnerLength) {
    return absl::InvalidArgumentError(StrCat("an upload's owner has 1 to ", kMaxOwnerLength,
                                             " characters; this one has ", owner.size()));
  }
  std::string name;
  for (const char c : owner) {
    const bool plain = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' ||
                       (c == '.' && !name.empty());
    if (plain) {
      name += c;
    } else {
      StrAppend(&name, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return name;
}

struct Upload {
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

struct Key {
  std::string folder;
  Digest digest;
  friend auto operator<=>(const Key&, const Key&) = default;
};

// DataLoss counts as a hash that no upload has.
absl::StatusOr<Digest> HashOf(const UploadFile& format, const fs::path& path) {
  const auto reader = format.Open(path);
  if (absl::IsDataLoss(reader.status())) return Digest();
  MUSTER_RETURN_IF_ERROR(reader.status());
  std::vector<char> buffer(kCopyBytes);
  Sha256Hasher hasher;
  for (uint64_t offset = 0; offset < (*reader)->size();) {
    const auto got = (*reader)->ReadAt(offset, buffer);
    if (absl::IsDataLoss(got.status())) return Digest();
    MUSTER_RETURN_IF_ERROR(got.status());
    hasher.Update({buffer.data(), *got});
    offset += *got;
  }
  return hasher.Finish();
}

class DirectoryStaging final : public StagingArea {
 public:
  DirectoryStaging(fs::path root, StagingLimits limits, std::unique_ptr<UploadFile> format)
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
  fs::path PathOf(const Key& key, const Upload& upload) const;
  bool Abandoned(const Key& key, const Upload& upload, Timestamp before, uint64_t& bytes) const;

  const fs::path root_;
  const StagingLimits limits_;
  const std::unique_ptr<UploadFile> format_;
  std::mutex mutex_;
  std::map<Key, Upload> uploads_;  // nodes stay where they are while they are held
};

fs::path DirectoryStaging::PathOf(const Key& key, const Upload& upload) const {
  const std::string name = upload.complete ? StrCat(key.digest.hex(), ".done")
                                           : StrCat(key.digest.hex(), ".", upload.total, ".part");
  return root_ / key.folder / name;
}

absl::Status DirectoryStaging::Load() {
  MUSTER_RETURN_IF_ERROR(MakeFolderDurably(root_));
  std::error_code error;
  for (fs::directory_iterator it(root_, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored)) {
      MUSTER_RETURN_IF_ERROR(LoadFolder(it->path().filename().string()));
    }
  }
  if (error) return FileStatus(error.value(), "listing", root_);
  return absl::OkStatus();
}

absl::Status DirectoryStaging::LoadFolder(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator it(root_ / folder, error), end; !error && it != end;
       it.increment(error)) {
    MUSTER_RETURN_IF_ERROR(LoadFile(folder, it->path().filename().string()));
  }
  if (error) return FileStatus(error.value(), "listing", root_ / folder);
  return absl::OkStatus();
}

absl::Status DirectoryStaging::LoadFile(const std::string& folder, const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '.');
  const fs::path path = root_ / folder / name;
  const absl::StatusOr<Digest> digest = Digest::FromHex(parts[0]);
  Upload upload;
  upload.complete = parts.size() == 2 && parts[1] == "done";
  const bool partial =
      parts.size() == 3 && parts[2] == "part" && absl::SimpleAtoi(parts[1], &upload.total);
  // Names that this area does not write: leftovers of nobody, so that they cannot fill the disk.
  if (!digest.ok() || (!upload.complete && !partial)) return RemoveFile(path);
  const auto size =
      upload.complete ? format_->WholeSize(path) : format_->Recover(path, upload.total);
  if (absl::IsNotFound(size.status())) return RemoveFile(path);
  MUSTER_RETURN_IF_ERROR(size.status());
  upload.size = *size;
  if (upload.complete) {
    upload.total = upload.size;
    upload.durable = upload.size;
    upload.entry_durable = true;
  }
  const auto [it, inserted] = uploads_.emplace(Key{folder, *digest}, std::move(upload));
  if (inserted) return absl::OkStatus();
  // A start over that was cut off leaves two sizes of one digest; the later scan result goes.
  return RemoveFile(path);
}

absl::StatusOr<DirectoryStaging::Hold> DirectoryStaging::Acquire(const std::string& owner,
                                                                 const Digest& digest) {
  MUSTER_ASSIGN_OR_RETURN(std::string folder, FolderName(owner));
  Key key{std::move(folder), digest};
  std::lock_guard lock(mutex_);
  const auto it = uploads_.find(key);
  if (it == uploads_.end()) {
    return absl::NotFoundError(StrCat(owner, " has no upload ", digest.hex(), "; upload it first"));
  }
  if (it->second.busy) {
    return absl::AbortedError(StrCat("another call works on upload ", digest.hex(), " of ", owner,
                                     "; ask where it stands and go on from there"));
  }
  it->second.busy = true;
  return Hold(this, std::move(key), &it->second);
}

absl::Status DirectoryStaging::CheckLimits(const Key& key, uint64_t total_size) const {
  if (total_size > limits::kMaxBlobBytes) {
    return absl::InvalidArgumentError(StrCat("an upload may have at most ", limits::kMaxBlobBytes,
                                             " bytes; this one says ", total_size));
  }
  uint64_t bytes = 0;
  uint32_t count = 0;
  for (auto it = uploads_.lower_bound(Key{key.folder, Digest()});
       it != uploads_.end() && it->first.folder == key.folder; ++it) {
    bytes += it->second.total;
    ++count;
  }
  if (count >= limits_.max_uploads_per_owner) {
    return absl::ResourceExhaustedError(
        StrCat(count, " uploads are waiting already, the most that one owner may have; ",
               "use them or wait until they are swept"));
  }
  if (bytes > limits_.max_bytes_per_owner || total_size > limits_.max_bytes_per_owner - bytes) {
    return absl::ResourceExhaustedError(
        StrCat("an upload of ", total_size, " bytes beside ", bytes,
               " bytes that are waiting already exceeds the owner's limit of ",
               limits_.max_bytes_per_owner, " bytes"));
  }
  return absl::OkStatus();
}

absl::StatusOr<DirectoryStaging::Hold> DirectoryStaging::AcquireOrCreate(const std::string& owner,
                                                                         const Digest& digest,
                                                                         uint64_t total_size,
                                                                         uint64_t offset) {
  absl::StatusOr<Hold> held = Acquire(owner, digest);
  if (held.ok() && !(*held)->complete && (*held)->total != total_size && offset == 0) {
    MUSTER_RETURN_IF_ERROR(RemoveFile(PathOf(held->key(), **held)));
    held->Forget();
  } else if (!absl::IsNotFound(held.status())) {
    return held;
  }
  if (offset != 0) {
    return absl::OutOfRangeError(
        StrCat("upload ", digest.hex(), " stands at offset 0, not ", offset));
  }
  MUSTER_ASSIGN_OR_RETURN(std::string folder, FolderName(owner));
  Key key{std::move(folder), digest};
  std::lock_guard lock(mutex_);
  MUSTER_RETURN_IF_ERROR(CheckLimits(key, total_size));
  const auto [it, inserted] = uploads_.try_emplace(key);
  if (!inserted) {
    return absl::AbortedError(StrCat("another call began upload ", digest.hex(), " of ", owner,
                                     " at the same time; ask where it stands"));
  }
  it->second.total = total_size;
  it->second.busy = true;
  it->second.hasher.emplace();
  return Hold(this, std::move(key), &it->second);
}

absl::Status DirectoryStaging::Append(const std::string& owner, const Digest& digest,
                                      uint64_t total_size, uint64_t offset, std::string_view data) {
  MUSTER_ASSIGN_OR_RETURN(Hold upload, AcquireOrCreate(owner, digest, total_size, offset));
  if (upload->total != total_size) {
    return absl::InvalidArgumentError(StrCat("upload ", digest.hex(), " began with ", upload->total,
                                             " bytes in total, now it says ", total_size,
                                             "; start again at offset 0"));
  }
  if (offset != upload->size) {
    return absl::OutOfRangeError(
        StrCat("upload ", digest.hex(), " stands at offset ", upload->size, ", not ", offset));
  }
  if (data.size() > total_size - offset) {
    return absl::InvalidArgumentError(StrCat("upload ", digest.hex(), " has ", total_size,
                                             " bytes in total; ", data.size(), " more at offset ",
                                             offset, " are too many"));
  }
  if (upload->complete) return absl::OkStatus();  // at its end, nothing to add
  const fs::path path = PathOf(upload.key(), *upload);
  absl::Status status = MakeFolderDurably(path.parent_path());
  uint64_t stands = upload->size;
  if (status.ok()) {
    absl::StatusOr<UniqueFd> fd = OpenFile(path, O_RDWR | O_CREAT);
    status = fd.status();
    if (fd.ok()) {
      // After an error it is back at what the upload held: nobody was told about the rest.
      status = format_->Append(fd->get(), path, total_size, offset, data, stands);
    }
  }
  if (!status.ok()) {
    if (stands < upload->size) upload->StandAt(stands);
    if (upload->size == 0) {
      RemoveFile(path).IgnoreError();
      upload.Forget();
    }
    return status;
  }
  upload->size += data.size();
  if (upload->hasher.has_value()) upload->hasher->Update(data);
  return absl::OkStatus();
}

absl::Status DirectoryStaging::Complete(Hold& upload) {
  const fs::path partial = PathOf(upload.key(), *upload);
  Digest found;
  if (upload->hasher.has_value()) {
    found = upload->hasher->Finish();
    upload->hasher.reset();
  } else {
    MUSTER_ASSIGN_OR_RETURN(found, HashOf(*format_, partial));
  }
  if (found != upload.key().digest) {
    const Digest expected = upload.key().digest;
    MUSTER_RETURN_IF_ERROR(RemoveFile(partial));
    upload.Forget();
    return absl::DataLossError(StrCat("upload ", expected.hex(),
                                      " is corrupted: its bytes hash to ", found.hex(),
                                      "; it was deleted, upload it again from offset 0"));
  }
  Upload done;
  done.complete = true;
  const fs::path target = PathOf(upload.key(), done);
  if (::rename(partial.c_str(), target.c_str()) != 0) {
    return FileStatus(errno, "renaming into place", target);
  }
  upload->entry_durable = false;
  std::lock_guard lock(mutex_);
  upload->complete = true;
  return absl::OkStatus();
}

absl::StatusOr<StagedUpload> DirectoryStaging::FlushHeld(Hold& upload) {
  if (upload->durable < upload->size || !upload->entry_durable) {
    const fs::path path = PathOf(upload.key(), *upload);
    MUSTER_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDWR));
    if (absl::Status status = Fsync(fd.get(), path); !status.ok()) {
      // What the kernel dropped is unknown: go back to what is known.
      upload->hasher.reset();
      const auto stands = format_->CutBack(fd.get(), path, upload->durable);
      if (stands.ok()) upload->StandAt(*stands);
      return status;
    }
    upload->durable = upload->size;
  }
  if (!upload->complete && upload->size == upload->total) MUSTER_RETURN_IF_ERROR(Complete(upload));
  if (!upload->entry_durable) {
    MUSTER_RETURN_IF_ERROR(FsyncDirectory(root_ / upload.key().folder));
    upload->entry_durable = true;
  }
  return StagedUpload{upload->size, upload->complete};
}

absl::StatusOr<StagedUpload> DirectoryStaging::Flush(const std::string& owner,
                                                     const Digest& digest) {
  MUSTER_ASSIGN_OR_RETURN(Hold upload, Acquire(owner, digest));
  return FlushHeld(upload);
}

absl::StatusOr<StagedUpload> DirectoryStaging::Stat(const std::string& owner,
                                                    const Digest& digest) {
  absl::StatusOr<StagedUpload> flushed = Flush(owner, digest);
  // None, or one that turned out to be corrupted and is gone: it starts at 0.
  if (absl::IsNotFound(flushed.status()) || absl::IsDataLoss(flushed.status())) {
    return StagedUpload{};
  }
  return flushed;
}

absl::StatusOr<std::unique_ptr<BlobReader>> DirectoryStaging::OpenWhole(const std::string& owner,
                                                                        const Digest& digest) {
  MUSTER_ASSIGN_OR_RETURN(std::string folder, FolderName(owner));
  std::lock_guard lock(mutex_);
  const auto it = uploads_.find(Key{std::move(folder), digest});
  if (it == uploads_.end()) {
    return absl::NotFoundError(StrCat(owner, " has no upload ", digest.hex(), "; upload it first"));
  }
  if (!it->second.complete) {
    return absl::FailedPreconditionError(
        StrCat("upload ", digest.hex(), " of ", owner, " is not complete; upload the rest first"));
  }
  return format_->Open(PathOf(it->first, it->second));
}

// What the disk changed is of no use to anybody: it goes, and its owner uploads it again.
absl::Status DirectoryStaging::Corrupted(const std::string& owner, const Digest& digest) {
  MUSTER_RETURN_IF_ERROR(Remove(owner, digest));
  return absl::DataLossError(StrCat("upload ", digest.hex(),
                                    " was corrupted on the disk and deleted; upload it "
                                    "again from offset 0"));
}

absl::StatusOr<std::unique_ptr<BlobReader>> DirectoryStaging::Open(const std::string& owner,
                                                                   const Digest& digest) {
  auto reader = OpenWhole(owner, digest);
  if (absl::IsDataLoss(reader.status())) return Corrupted(owner, digest);
  return reader;
}

absl::Status DirectoryStaging::Promote(const std::string& owner, const Digest& digest,
                                       BlobStore& into) {
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<BlobReader> reader, Open(owner, digest));
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer, into.Create());
  std::vector<char> buffer(kCopyBytes);
  Sha256Hasher hasher;
  for (uint64_t offset = 0; offset < reader->size();) {
    const absl::StatusOr<size_t> got = reader->ReadAt(offset, buffer);
    if (absl::IsDataLoss(got.status())) return Corrupted(owner, digest);
    MUSTER_RETURN_IF_ERROR(got.status());
    const std::string_view chunk(buffer.data(), *got);
    hasher.Update(chunk);
    MUSTER_RETURN_IF_ERROR(writer->Append(chunk));
    offset += *got;
  }
  if (hasher.Finish() != digest) return Corrupted(owner, digest);
  MUSTER_RETURN_IF_ERROR(writer->Commit().status());
  const absl::Status removed = Remove(owner, digest);
  // Somebody asks about the upload just now: the sweep takes it later.
  return absl::IsAborted(removed) ? absl::OkStatus() : removed;
}

absl::Status DirectoryStaging::Remove(const std::string& owner, const Digest& digest) {
  absl::StatusOr<Hold> upload = Acquire(owner, digest);
  if (absl::IsNotFound(upload.status())) return absl::OkStatus();
  MUSTER_RETURN_IF_ERROR(upload.status());
  MUSTER_RETURN_IF_ERROR(RemoveFile(PathOf(upload->key(), **upload)));
  upload->Forget();
  return absl::OkStatus();
}

// Nobody works on it, and nobody did since `before`.
bool DirectoryStaging::Abandoned(const Key& key, const Upload& upload, Timestamp before,
                                 uint64_t& bytes) const {
  struct stat info {};
  if (upload.busy || ::stat(PathOf(key, upload).c_str(), &info) != 0) return false;
  bytes = static_cast<uint64_t>(info.st_size);
  const int64_t touched_us =
      static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000 + info.st_mtim.tv_nsec / 1000;
  return touched_us < before.unix_us;
}

absl::StatusOr<size_t> DirectoryStaging::Sweep(Timestamp before) {
  size_t swept = 0;
  std::lock_guard lock(mutex_);
  for (auto it = uploads_.begin(); it != uploads_.end();) {
    uint64_t bytes = 0;
    if (!Abandoned(it->first, it->second, before, bytes)) {
      ++it;
      continue;
    }
    MUSTER_RETURN_IF_ERROR(RemoveFile(PathOf(it->first, it->second)));
    it = uploads_.erase(it);
    ++swept;
  }
  return swept;
}

absl::StatusOr<AbandonedUploads> DirectoryStaging::CountAbandoned(Timestamp before) {
  AbandonedUploads abandoned;
  std::lock_guard lock(mutex_);
  for (const auto& [key, upload] : uploads_) {
    uint64_t bytes = 0;
    if (!Abandoned(key, upload, before, bytes)) continue;
    ++abandoned.count;
    abandoned.bytes += bytes;
  }
  return abandoned;
}

absl::StatusOr<std::unique_ptr<StagingArea>> OpenArea(const fs::path& directory,
                                                      StagingLimits limits,
                                                      std::unique_ptr<UploadFile> format) {
  std::error_code error;
  const fs::path root = fs::absolute(directory, error);
  if (error) return FileStatus(error.value(), "resolving", directory);
  auto area =
      std::make_unique<DirectoryStaging>(root.lexically_normal(), limits, std::move(format));
  MUSTER_RETURN_IF_ERROR(area->Load());
  return area;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StagingArea>> StagingArea::Open(const fs::path& directory,
                                                               StagingLimits limits) {
  return OpenArea(directory, limits, MakePlainUploadFile());
}

absl::StatusOr<std::unique_ptr<StagingArea>> StagingArea::OpenSealed(
    const fs::path& directory, std::shared_ptr<const AtRestKeys> keys, StagingLimits limits) {
  if (keys == nullptr) return absl::InvalidArgumentError("a sealed staging area needs a key");
  return OpenArea(directory, limits, MakeSealedUploadFile(std::move(keys)));
}

}  // namespace muster
