// The process that has everything loaded and forks a jailed child per invocation. It speaks
// muster.worker.v1 over a SOCK_SEQPACKET socket: WorkerRequest in, WorkerReply out, in the order in
// which children end. A request whose function is UNSPECIFIED cancels the invocation that it names.
//
// The server never starts a thread: a child of a process with threads may find locks held for ever.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "muster/worker/v1/worker.pb.h"

namespace muster {

inline constexpr size_t kMaxConcurrentFunctions = 64;  // children of one server; more are refused
inline constexpr std::chrono::hours kMaxFunctionTime{24};  // where the request names no deadline
inline constexpr int kExitOutOfMemory = 87;                // a child's exit code, known only here

// Runs in the child, inside the jail. It may set `outcome` (unset: done), `reason`, `examples`,
// `metrics` and `files`; the server fills in the rest. A Status becomes FAILED with its message;
// std::bad_alloc becomes OUT_OF_MEMORY.
using RunInChild =
    std::function<absl::StatusOr<worker::v1::WorkerReply>(const worker::v1::WorkerRequest&)>;

// Serves until the other side closes the socket, then kills what still runs. Returns the exit code
// for main: 0 after a close, 1 when the socket failed. `socket_fd` is the server's from here on.
int RunForkServer(int socket_fd, const RunInChild& run_in_child);

}  // namespace muster
