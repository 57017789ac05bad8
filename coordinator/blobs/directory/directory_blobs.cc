#include "coordinator/blobs/directory/directory_blobs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
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
  DirectoryWriter(fs::path root, fs::path temporary, UniqueFd fd)
      : root_(std::move(root)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

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
    if (::rename(temporary_.c_str(), target.c_str()) != 0) {
      return FileStatus(errno, "renaming into place", target);
    }
    committed_ = true;
    MUSTER_RETURN_IF_ERROR(FsyncDirectory(target.parent_path()));
    return digest;
  }

 private:
  const fs::path root_;
  const fs::path temporary_;
  UniqueFd fd_;
  uint64_t size_ = 0;
  Sha256Hasher hasher_;
  bool committed_ = false;
  absl::Status failure_;
};

class DirectoryBlobs final : public BlobStore {
 public:
  explicit DirectoryBlobs(fs::path root) : root_(std::move(root)) {}

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
    const fs::path path = root_ / "tmp" / StrCat(next_temporary_.fetch_add(1));
    MUSTER_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_EXCL));
    return std::make_unique<DirectoryWriter>(root_, path, std::move(fd));
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

  absl::Status Delete(const Digest& digest) override { return RemoveFile(PathOf(root_, digest)); }

 private:
  const fs::path root_;
  std::atomic<uint64_t> next_temporary_{0};
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlobStore>> OpenDirectoryBlobs(const fs::path& directory) {
  std::error_code error;
  const fs::path root = fs::absolute(directory, error);
  if (error) return FileStatus(error.value(), "resolving", directory);
  auto blobs = std::make_unique<DirectoryBlobs>(root.lexically_normal());
  MUSTER_RETURN_IF_ERROR(blobs->Sweep());
  return blobs;
}

}  // namespace muster
