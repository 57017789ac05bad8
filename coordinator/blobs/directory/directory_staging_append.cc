#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <utility>
#include <vector>

#include "coordinator/blobs/directory/directory_staging_area.h"
#include "coordinator/blobs/directory/file_io.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr size_t kReadBytes = 1u << 20;

// DataLoss counts as a hash that no upload has.
absl::StatusOr<Digest> HashOf(const UploadFile& format, const fs::path& path) {
  const auto reader = format.Open(path);
  if (absl::IsDataLoss(reader.status())) return Digest();
  MUSTER_RETURN_IF_ERROR(reader.status());
  std::vector<char> buffer(kReadBytes);
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

}  // namespace

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
  MUSTER_ASSIGN_OR_RETURN(std::string folder, UploadFolderName(owner));
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

}  // namespace muster
