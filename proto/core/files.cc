#include "proto/core/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <vector>

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kReadBytes = 64u << 10;

std::filesystem::path FolderOf(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.parent_path();
  return parent.empty() ? std::filesystem::path(".") : parent;
}

// The folder at which the file system that holds `path` is mounted; `path` itself if that cannot be
// told.
std::filesystem::path MountPoint(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::path here = std::filesystem::absolute(path, ignored);
  struct stat info {};
  while (stat(here.c_str(), &info) != 0) {
    if (!here.has_relative_path()) return path;
    here = here.parent_path();
  }
  const dev_t device = info.st_dev;
  while (here.has_relative_path()) {
    const std::filesystem::path above = here.parent_path();
    if (stat(above.c_str(), &info) != 0 || info.st_dev != device) break;
    here = above;
  }
  return here;
}

absl::Status WriteAll(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "writing", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status Sync(const std::filesystem::path& path, int flags) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", path);
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, "flushing", path);
  return absl::OkStatus();
}

// Fills the new file `fd` at `temporary` and puts it in the place of `path`.
absl::Status FillAndRename(UniqueFd fd, const std::filesystem::path& temporary,
                           const std::filesystem::path& path, std::string_view bytes,
                           unsigned mode) {
  if (fchmod(fd.get(), mode) != 0) return ErrnoStatus(errno, "setting the mode of", path);
  MUSTER_RETURN_IF_ERROR(WriteAll(fd.get(), bytes, path));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, "flushing", path);
  if (close(fd.Release()) != 0) return ErrnoStatus(errno, "closing", path);
  if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoStatus(errno, "replacing", path);
  return absl::OkStatus();
}

}  // namespace

absl::Status ErrnoStatus(int error, std::string_view what, const std::filesystem::path& path) {
  std::string message =
      StrCat(what, " ", path.string(), ": ", std::generic_category().message(error));
  if (error == ENOSPC) {
    StrAppend(&message, "; the file system at ", MountPoint(path).string(),
              " is full: free some space there");
    return absl::ResourceExhaustedError(message);
  }
  if (error == EDQUOT) {
    StrAppend(&message, "; the disk quota on the file system at ", MountPoint(path).string(),
              " is used up: free some space there or raise it");
    return absl::ResourceExhaustedError(message);
  }
  return absl::Status(absl::ErrnoToStatusCode(error), message);
}

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "reading", path);
  std::string bytes;
  if (S_ISREG(info.st_mode)) {
    bytes.reserve(std::min<uint64_t>(static_cast<uint64_t>(info.st_size), max_bytes));
  }
  std::vector<char> buffer(kReadBytes);
  while (true) {
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "reading", path);
    if (n == 0) return bytes;
    if (static_cast<uint64_t>(n) > max_bytes - bytes.size()) {
      return absl::ResourceExhaustedError(
          StrCat("reading ", path.string(), ": larger than the limit of ", max_bytes, " bytes"));
    }
    bytes.append(buffer.data(), static_cast<size_t>(n));
  }
}

absl::Status WriteFileDurably(const std::filesystem::path& path, std::string_view bytes,
                              unsigned mode) {
  const std::filesystem::path folder = FolderOf(path);
  std::string temporary = (folder / StrCat(".", path.filename().string(), ".XXXXXX")).string();
  // Created 0600: what becomes a private file is never readable on the way.
  UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "creating a file beside", path);
  if (absl::Status status = FillAndRename(std::move(fd), temporary, path, bytes, mode);
      !status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return FsyncDirectory(folder);
}

absl::Status FsyncFile(const std::filesystem::path& path) { return Sync(path, 0); }

absl::Status FsyncDirectory(const std::filesystem::path& path) { return Sync(path, O_DIRECTORY); }

void UniqueFd::Reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

}  // namespace muster
