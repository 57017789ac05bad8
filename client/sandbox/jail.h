// What a function's process may do. The jail is entered once, in the child, before the function
// runs; it cannot be left. Inside: no sockets, no new programs, no new processes, no tracing, no
// signals to others, no input from the terminal, bounded memory and files, a temp folder of its
// own.
#pragma once

#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"
#include "proto/core/limits.h"

namespace muster {

inline constexpr uint64_t kJailMaxOpenFiles = 256;

struct JailOptions {
  uint64_t memory_bytes = limits::kDefaultWorkerMemoryBytes;  // address space beyond what the
                                                              // process has when it enters
  uint64_t file_bytes = limits::kMaxBlobBytes;                // largest file that it may write
  std::filesystem::path temp_dir;  // exists; becomes the working directory and TMPDIR
  int keep_fd = -1;                // the one descriptor beside 0, 1 and 2 that stays open
};

// Fails closed: on an error the function must not run. Exceeding file_bytes fails the write with
// EFBIG instead of killing the process, so that the function can say so.
absl::Status EnterJail(const JailOptions& options);

}  // namespace muster
