// The agent as a process: performs the effects of core.h and feeds it events. Threads: the caller's
// runs the loop; one for what waits on the coordinator's answer and one for the work, each only
// while there is something to do.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "client/agent/config.h"
#include "client/agent/core.h"

namespace muster {

inline constexpr char kAgentVersion[] = "muster-client/0.1.0";

class Agent {
 public:
  // Locks state_dir, opens journal and cache, serves the last good models, writes agent.json.
  // NotFound: not enrolled. AlreadyExists: another agent runs on this state_dir.
  static absl::StatusOr<std::unique_ptr<Agent>> Start(const ClientConfig& config,
                                                      const Pace& pace = {});
  ~Agent();

  uint16_t inference_port() const;

  // Until `stop_fd` becomes readable: then ends what runs, in order, and returns.
  absl::Status Run(int stop_fd);

 private:
  struct Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster
