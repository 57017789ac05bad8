// The agent's side of muster-worker: starts it when there is something to run, ends it when it has
// been idle, starts it again when it died. Safe to call from several threads.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "muster/worker/v1/worker.pb.h"
#include "proto/core/limits.h"

namespace muster {

struct WorkerPoolOptions {
  std::filesystem::path worker_binary;  // run as `BINARY serve --fd 3`
  std::chrono::milliseconds idle_timeout = limits::kDefaultWorkerIdle;
};

class WorkerPool {
 public:
  explicit WorkerPool(WorkerPoolOptions options);
  ~WorkerPool();  // ends the worker and what still runs in it; no Run may be in progress

  // Runs one invocation and waits for its reply, whose outcome says how the function ended. Errors:
  // InvalidArgument for a request without invocation or function, or above
  // limits::kMaxWorkerMessageBytes; AlreadyExists when that invocation runs now; FailedPrecondition
  // when the binary cannot be started; Unavailable when the worker died meanwhile (the next call
  // starts it again). metering.cold_start is set for the first invocation after a start.
  absl::StatusOr<worker::v1::WorkerReply> Run(const worker::v1::WorkerRequest& request);

  // Kills the invocation's process; its Run returns FAILED "cancelled". Nothing if it does not run.
  void Cancel(const std::string& invocation);

  bool running() const;  // whether a worker process exists now
  pid_t pid() const;     // its process id; 0: none
  void StopIfIdle();     // ends the worker now if nothing runs, and waits for its end

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster
