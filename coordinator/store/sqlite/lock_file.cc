#include "coordinator/store/sqlite/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kMaxPidText = 32;

std::string HolderOf(int fd) {
  char text[kMaxPidText];
  const ssize_t n = ::pread(fd, text, sizeof(text), 0);
  std::string_view pid(text, n > 0 ? static_cast<size_t>(n) : 0);
  pid = pid.substr(0, pid.find('\n'));
  return pid.empty() ? "another process" : StrCat("process ", pid);
}

}  // namespace

absl::StatusOr<UniqueFd> LockFolder(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "coordinator.lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "locking", path);
    return absl::FailedPreconditionError(StrCat(
        "the store in ", folder.string(), " is in use by ", HolderOf(fd.get()), ", which holds ",
        path.string(), "; stop that process first, or give this one another folder"));
  }
  // The number is for people. A disk too full to write it down does not stop the coordinator.
  const std::string pid = StrCat(::getpid(), "\n");
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return fd;
  }
  return fd;
}

}  // namespace muster
