#include <sys/stat.h>
#include <unistd.h>

#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "coordinator/blobs/directory/directory_staging_area.h"
#include "coordinator/blobs/directory/file_io.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxOwnerLength = 80;
constexpr size_t kCopyBytes = 1u << 20;

}  // namespace

absl::StatusOr<std::string> UploadFolderName(const std::string& owner) {
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
  MUSTER_ASSIGN_OR_RETURN(std::string folder, UploadFolderName(owner));
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

absl::StatusOr<std::unique_ptr<BlobReader>> DirectoryStaging::OpenWhole(const std::string& owner,
                                                                        const Digest& digest) {
  MUSTER_ASSIGN_OR_RETURN(std::string folder, UploadFolderName(owner));
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

namespace {

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
