// The host of inference functions on a device: one HTTP front that speaks Open Inference Protocol
// v2 and, behind it, zero to `max_instances` processes per model, started when a call needs one and
// ended when idle. A new version is warmed up in a process of its own before it takes over; if that
// fails, the last good version stays.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

// What happened to a model's processes; told on the host's own thread, which must not be held up
// and must not call the host.
struct FunctionEvent {
  enum class Kind { kStarted, kEnded, kDeployed, kQueued, kRefused };
  Kind kind = Kind::kStarted;
  std::string model;
  uint32_t version = 0;
  int pid = 0;           // kStarted, kEnded
  size_t instances = 0;  // of the model, after this
  size_t queued = 0;     // calls that wait for an instance
};

struct FunctionHostOptions {
  std::string listen_address = "127.0.0.1";  // numeric
  uint16_t port = 0;                         // 0: any
  std::filesystem::path infer_binary;        // muster-infer
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(30);
  uint32_t min_instances = 0, max_instances = 2;  // per model; max at least 1
  uint32_t queue_limit = 64;                      // waiting calls per model; further ones get 429
  std::chrono::milliseconds call_deadline = std::chrono::seconds(10);  // then 504
  std::function<void(const FunctionEvent&)> on_event;
};

// Measured while a version is deployed.
struct DeployReport {
  double cold_start_ms = 0;  // exec to first reply
  double latency_us = 0;     // median round trip of one example to the warm process
};

// Since the last drain.
struct FunctionMetering {
  std::string model;
  uint64_t invocations = 0;              // answered by an instance, whatever the answer
  uint64_t wall_us = 0;                  // from handing the call to an instance to its reply
  uint64_t cpu_us = 0;                   // of the instances, starts and warm-ups included
  uint64_t cold_starts = 0;              // processes started
  uint64_t bytes_in = 0, bytes_out = 0;  // bodies
};

// Thread-safe. Models that are removed keep their metering until it is drained.
class FunctionHost {
 public:
  static absl::StatusOr<std::unique_ptr<FunctionHost>> Start(FunctionHostOptions options);
  // Ends every instance.
  ~FunctionHost();

  uint16_t port() const;

  // Blocks until the version answers or has failed. `name` is a ModelName. The file must stay in
  // place while the version is served. InvalidArgument if the file is no model, FailedPrecondition
  // if its process does not answer; what was served before still is.
  absl::StatusOr<DeployReport> Deploy(const std::string& name, uint32_t version,
                                      const std::filesystem::path& model_file);
  // Calls in progress are answered, waiting ones get 404. NotFound if there is no such model.
  absl::Status Remove(const std::string& name);

  std::vector<FunctionMetering> DrainMetering();

 private:
  struct Impl;
  explicit FunctionHost(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster
