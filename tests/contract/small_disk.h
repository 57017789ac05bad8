// A disk that is soon full. As root: a small tmpfs in a mount namespace of this thread, filled by a
// ballast file. Otherwise (or where mounting is forbidden): a limit on the size of any file, which
// fails in the same places.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/temp_folder.h"

namespace muster {

class SmallDisk {
 public:
  virtual ~SmallDisk() = default;
  virtual const std::filesystem::path& path() const = 0;
  virtual void Fill() = 0;  // from now on nothing new fits
  virtual void Free() = 0;  // there is room again
};

// The file-size limit of the process. Files up to `bytes` may be written while it is full.
class FileSizeLimit final : public SmallDisk {
 public:
  explicit FileSizeLimit(rlim_t bytes) : bytes_(bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    previous_ = ::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() override {
    Free();
    ::signal(SIGXFSZ, previous_);
  }
  const std::filesystem::path& path() const override { return folder_.path(); }
  void Fill() override {
    rlimit limit = before_;
    limit.rlim_cur = bytes_;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  void Free() override { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  TempFolder folder_;
  rlim_t bytes_;
  rlimit before_{};
  void (*previous_)(int) = SIG_DFL;
};

// Threads that are to see the disk must be started after it, by the same thread.
class SmallTmpfs final : public SmallDisk {
 public:
  // Null where this process may not mount.
  static std::unique_ptr<SmallTmpfs> Mount(size_t bytes) {
    std::unique_ptr<SmallTmpfs> disk(new SmallTmpfs());
    const std::string options = "size=" + std::to_string(bytes);
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", disk->path().c_str(), "tmpfs", 0, options.c_str()) != 0) {
      return nullptr;
    }
    disk->mounted_ = true;
    return disk;
  }
  ~SmallTmpfs() override {
    if (mounted_) ::umount2(path().c_str(), MNT_DETACH);
  }
  const std::filesystem::path& path() const override { return folder_.path(); }
  void Fill() override {
    const int fd = ::open(Ballast().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const std::string block(4096, 'x');
    while (::write(fd, block.data(), block.size()) > 0) {
    }
    ::close(fd);
  }
  void Free() override { ::unlink(Ballast().c_str()); }

 private:
  SmallTmpfs() = default;
  std::string Ballast() const { return (path() / "ballast").string(); }
  TempFolder folder_;
  bool mounted_ = false;
};

// What this user may have: the tmpfs where possible, else the limit.
inline std::unique_ptr<SmallDisk> MakeSmallDisk(size_t disk_bytes, size_t file_bytes) {
  if (auto disk = SmallTmpfs::Mount(disk_bytes)) return disk;
  return std::make_unique<FileSizeLimit>(file_bytes);
}

}  // namespace muster
