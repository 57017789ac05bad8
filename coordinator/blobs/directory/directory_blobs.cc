#include "coordinator/blobs/directory/directory_blobs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <mutex>
#include <system_error>

#include "coordinator/blobs/directory/file_io.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

fs::path PathOf(const fs::path& root, const Digest& digest) {
  const std::string hex = digest.hex();
  return root / hex.substr(0, 2) / hex;
}

class DirectoryWriter final : public BlobWriter {
 public:
  DirectoryWriter(fs::path root, fs::path temporary, UniqueFd fd, std::shared_ptr<std::mutex> ages)
      : root_(std::move(root)),
        temporary_(std::move(temporary)),
        fd_(std::move(fd)),
        ages_(std::move(ages)) {}

  ~DirectoryWriter() override {
    if (!committed_) RemoveFile(temporary_).IgnoreError();
  }

  absl::Status Append(std::string_view bytes) override {
    if (!failure_.ok()) return failure_;
    if (bytes.size() > limits::kMaxBlobBytes - size_) {
      return failure_ = absl::ResourceExhaustedError(
                 StrCat("a blob may have at most ", limits::kMaxBlobBytes, " bytes"));
    }
    failure_ = WriteAllAt(fd_.get(), size_, bytes, temporary_);
    MUSTER_RETURN_IF_ERROR(failure_);
    size_ += bytes.size();
    hasher_.Update(bytes);
    return absl::OkStatus();
  }

  absl::StatusOr<Digest> Commit() override {
    MUSTER_RETURN_IF_ERROR(failure_);
    failure_ = absl::FailedPreconditionError("this blob writer was committed already");
    const Digest digest = hasher_.Finish();
    const fs::path target = PathOf(root_, digest);
    // Folder and file are made durable even if the blob seems to be there: whoever put it there may
    // not have come to that yet.
    MUSTER_RETURN_IF_ERROR(Fsync(fd_.get(), temporary_));
    MUSTER_RETURN_IF_ERROR(MakeFolderDurably(target.parent_path()));
    MUSTER_RETURN_IF_ERROR(MoveTo(target));
    committed_ = true;
    MUSTER_RETURN_IF_ERROR(FsyncDirectory(target.parent_path()));
    return digest;
  }

 private:
  // The file's age is that of its last byte, which may be long ago: it is a blob from now on.
  absl::Status MoveTo(const fs::path& target) {
    std::lock_guard lock(*ages_);
    if (::futimens(fd_.get(), nullptr) != 0) return FileStatus(errno, "touching", temporary_);
    if (::rename(temporary_.c_str(), target.c_str()) != 0) {
      return FileStatus(errno, "renaming into place", target);
    }
    return absl::OkStatus();
  }

  const fs::path root_;
  const fs::path temporary_;
  UniqueFd fd_;
  const std::shared_ptr<std::mutex> ages_;
  uint64_t size_ = 0;
  Sha256Hasher hasher_;
  bool committed_ = false;
  absl::Status failure_;
};

class DirectoryBlobs final : public BlobStore {
 public:
  explicit DirectoryBlobs(fs::path root, bool read_only = false)
      : root_(std::move(root)), read_only_(read_only) {}

  absl::Status Sweep() {
    MUSTER_RETURN_IF_ERROR(MakeFolderDurably(root_));
    const fs::path temporaries = root_ / "tmp";
    MUSTER_RETURN_IF_ERROR(MakeFolderDurably(temporaries));
    std::error_code error;
    for (fs::directory_iterator it(temporaries, error), end; !error && it != end;
         it.increment(error)) {
      MUSTER_RETURN_IF_ERROR(RemoveFile(it->path()));
    }
    if (error) return FileStatus(error.value(), "listing", temporaries);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<BlobWriter>> Create() override {
    MUSTER_RETURN_IF_ERROR(CheckWritable());
    const fs::path path = root_ / "tmp" / StrCat(next_temporary_.fetch_add(1));
    MUSTER_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_EXCL));
    return std::make_unique<DirectoryWriter>(root_, path, std::move(fd), ages_);
  }

  absl::StatusOr<std::unique_ptr<BlobReader>> Open(const Digest& digest) const override {
    absl::StatusOr<std::unique_ptr<BlobReader>> reader = OpenFileReader(PathOf(root_, digest));
    if (absl::IsNotFound(reader.status())) {
      return absl::NotFoundError(StrCat("there is no blob ", digest.hex(), " in ", root_.string()));
    }
    return reader;
  }

  absl::StatusOr<bool> Has(const Digest& digest) const override {
    const fs::path path = PathOf(root_, digest);
    if (::access(path.c_str(), F_OK) == 0) return true;
    if (errno == ENOENT) return false;
    return FileStatus(errno, "inspecting", path);
  }

  absl::Status Delete(const Digest& digest) override {
    MUSTER_RETURN_IF_ERROR(CheckWritable());
    return RemoveFile(PathOf(root_, digest));
  }

  absl::StatusOr<bool> Touch(const Digest& digest) override {
    MUSTER_RETURN_IF_ERROR(CheckWritable());
    const fs::path path = PathOf(root_, digest);
    std::lock_guard lock(*ages_);
    if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return true;
    if (errno == ENOENT) return false;
    return FileStatus(errno, "touching", path);
  }

  absl::Status List(const std::function<absl::Status(const BlobInfo&)>& visit) const override;
  absl::StatusOr<bool> DeleteIfOlder(const Digest& digest, Timestamp before) override;

 private:
  absl::Status CheckWritable() const {
    if (!read_only_) return absl::OkStatus();
    return absl::FailedPreconditionError(
        StrCat("the blobs in ", root_.string(), " were opened for reading only"));
  }

  const fs::path root_;
  const bool read_only_;
  std::atomic<uint64_t> next_temporary_{0};
  // Held while a blob's age changes or is judged. This process is the folder's only one.
  const std::shared_ptr<std::mutex> ages_ = std::make_shared<std::mutex>();
};

Timestamp ModifiedAt(const struct stat& info) {
  return Timestamp{static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000 +
                   info.st_mtim.tv_nsec / 1000};
}

absl::Status DirectoryBlobs::List(const std::function<absl::Status(const BlobInfo&)>& visit) const {
  std::error_code error;
  for (fs::recursive_directory_iterator it(root_, error), end; !error && it != end;
       it.increment(error)) {
    const absl::StatusOr<Digest> digest = Digest::FromHex(it->path().filename().string());
    if (!digest.ok() || it->path() != PathOf(root_, *digest)) continue;  // a folder, or in tmp
    struct stat info {};
    if (::stat(it->path().c_str(), &info) != 0) {
      if (errno == ENOENT) continue;
      return FileStatus(errno, "inspecting", it->path());
    }
    MUSTER_RETURN_IF_ERROR(visit({*digest, static_cast<uint64_t>(info.st_size), ModifiedAt(info)}));
  }
  if (error) return FileStatus(error.value(), "listing", root_);
  return absl::OkStatus();
}

absl::StatusOr<bool> DirectoryBlobs::DeleteIfOlder(const Digest& digest, Timestamp before) {
  MUSTER_RETURN_IF_ERROR(CheckWritable());
  const fs::path path = PathOf(root_, digest);
  std::lock_guard lock(*ages_);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;
    return FileStatus(errno, "inspecting", path);
  }
  if (ModifiedAt(info) >= before) return false;
  MUSTER_RETURN_IF_ERROR(RemoveFile(path));
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BlobStore>> OpenDirectoryBlobs(const fs::path& directory) {
  std::error_code error;
  const fs::path root = fs::absolute(directory, error);
  if (error) return FileStatus(error.value(), "resolving", directory);
  auto blobs = std::make_unique<DirectoryBlobs>(root.lexically_normal());
  MUSTER_RETURN_IF_ERROR(blobs->Sweep());
  return blobs;
}

absl::StatusOr<std::unique_ptr<BlobStore>> OpenDirectoryBlobsForReading(const fs::path& directory) {
  std::error_code error;
  const fs::path root = fs::absolute(directory, error).lexically_normal();
  if (error || !fs::is_directory(root, error)) {
    return absl::NotFoundError(StrCat("there is no folder ", directory.string()));
  }
  return std::make_unique<DirectoryBlobs>(root, /*read_only=*/true);
}

}  // namespace muster
