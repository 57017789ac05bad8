// Starts an instance process on one end of a socket pair.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/core/files.h"

namespace muster {

// In the child, the number of its end of the connection.
inline constexpr int kChildConnectionFd = 3;

struct ChildProcess {
  pid_t pid = 0;
  UniqueFd connection;  // a Unix stream socket; the child sees its end close with us
};

// `arguments` without argv[0]. The child gets no other descriptor than stderr and its connection,
// no signal mask, and of the environment only what loaders and sanitizers read.
absl::StatusOr<ChildProcess> SpawnChild(const std::filesystem::path& binary,
                                        const std::vector<std::string>& arguments);

// Kills what still runs, waits for it, and returns the CPU microseconds that it used in all.
uint64_t ReapChild(pid_t pid);

}  // namespace muster
