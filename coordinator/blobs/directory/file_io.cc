#include "coordinator/blobs/directory/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

class FileReader final : public BlobReader {
 public:
  FileReader(UniqueFd fd, uint64_t size, std::filesystem::path path)
      : fd_(std::move(fd)), size_(size), path_(std::move(path)) {}

  uint64_t size() const override { return size_; }

  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) const override {
    size_t done = 0;
    while (done < out.size() && offset + done < size_) {
      const ssize_t n = ::pread(fd_.get(), out.data() + done, out.size() - done,
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return FileStatus(errno, "reading", path_);
      if (n == 0) {
        return absl::DataLossError(StrCat(path_.string(), ": ends after ", offset + done, " of ",
                                          size_, " bytes; somebody cut it short"));
      }
      done += static_cast<size_t>(n);
    }
    return done;
  }

 private:
  UniqueFd fd_;
  uint64_t size_;
  std::filesystem::path path_;
};

}  // namespace

absl::Status FileStatus(int error, std::string_view what, const std::filesystem::path& path) {
  if (error == EFBIG) {
    return absl::ResourceExhaustedError(
        StrCat(what, " ", path.string(),
               ": the process may not make a file larger; raise its file-size limit "
               "(ulimit -f, LimitFSIZE=)"));
  }
  return ErrnoStatus(error, what, path);
}

absl::StatusOr<UniqueFd> OpenFile(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, kBlobFileMode);
  if (fd < 0) return FileStatus(errno, "opening", path);
  return UniqueFd(fd);
}

absl::Status WriteAllAt(int fd, uint64_t offset, std::string_view bytes,
                        const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileStatus(errno, "writing", path);
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return absl::OkStatus();
}

absl::Status Fsync(int fd, const std::filesystem::path& path) {
  if (::fsync(fd) != 0) return FileStatus(errno, "making durable", path);
  return absl::OkStatus();
}

absl::Status MakeFolderDurably(const std::filesystem::path& path) {
  if (::mkdir(path.c_str(), kBlobFolderMode) == 0) return FsyncDirectory(path.parent_path());
  if (errno == EEXIST) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) return absl::OkStatus();
    return absl::FailedPreconditionError(
        StrCat(path.string(), " is not a folder; move it away or choose another folder"));
  }
  if (errno != ENOENT || !path.has_parent_path() || path.parent_path() == path) {
    return FileStatus(errno, "creating folder", path);
  }
  MUSTER_RETURN_IF_ERROR(MakeFolderDurably(path.parent_path()));
  return MakeFolderDurably(path);
}

absl::Status RemoveFile(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return FileStatus(errno, "deleting", path);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BlobReader>> OpenFileReader(const std::filesystem::path& path) {
  MUSTER_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return FileStatus(errno, "inspecting", path);
  return std::make_unique<FileReader>(std::move(fd), static_cast<uint64_t>(info.st_size), path);
}

}  // namespace muster
