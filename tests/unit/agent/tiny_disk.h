// A disk that fills up: a tmpfs of its own where this process may mount one, else a file-size
// limit.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <filesystem>

namespace muster {

class TinyDisk {
 public:
  explicit TinyDisk(uint64_t bytes);
  ~TinyDisk();
  const std::filesystem::path& path() const { return path_; }
  void Fill();     // until nothing more fits
  void Relieve();  // makes room again

 private:
  std::filesystem::path path_;
  uint64_t bytes_;
  bool mounted_ = false;
  rlimit before_{};
};

}  // namespace muster
