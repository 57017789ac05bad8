#include "tests/unit/agent/tiny_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace muster {

TinyDisk::TinyDisk(uint64_t bytes) : bytes_(bytes) {
  std::string name = testing::TempDir() + "/tiny-XXXXXX";
  path_ = mkdtemp(name.data());
  const std::string size = "size=" + std::to_string(bytes);
  mounted_ = mount("tmpfs", path_.c_str(), "tmpfs", 0, size.c_str()) == 0;
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &before_);
}

TinyDisk::~TinyDisk() {
  Relieve();
  if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  std::filesystem::remove_all(path_);
}

void TinyDisk::Fill() {
  if (!mounted_) {
    // Every file on this disk is at its limit now.
    rlimit none = before_;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_FSIZE, &none);
    return;
  }
  const int fd = open((path_ / "ballast").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
  const std::string page(4096, 'x');
  while (write(fd, page.data(), page.size()) > 0) {
  }
  close(fd);
}

void TinyDisk::Relieve() {
  if (mounted_) {
    std::filesystem::remove(path_ / "ballast");
  } else {
    setrlimit(RLIMIT_FSIZE, &before_);
  }
}

}  // namespace muster
