// Files that survive a power cut.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

// The whole file; ResourceExhausted above `max_bytes`, NotFound if absent.
absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes);

// Writes beside `path`, fsyncs, renames over it, fsyncs the folder: after a crash the old content
// or the new one is there, never a mixture. Leaves nothing behind on failure.
absl::Status WriteFileDurably(const std::filesystem::path& path, std::string_view bytes,
                              unsigned mode = 0644);

absl::Status FsyncFile(const std::filesystem::path& path);
absl::Status FsyncDirectory(const std::filesystem::path& path);

// An errno as a Status: ENOSPC and EDQUOT become ResourceExhausted and say which disk is full.
absl::Status ErrnoStatus(int error, std::string_view what, const std::filesystem::path& path);

// A file descriptor that closes itself.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { Reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = other.Release();
    }
    return *this;
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset();

 private:
  int fd_ = -1;
};

}  // namespace muster
