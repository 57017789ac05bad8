// Watching a job until it ends, through restarts of the coordinator.
#pragma once

#include <chrono>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/cli/commands.h"

namespace muster::cli {

// How long a coordinator may be away before watching gives up.
inline constexpr std::chrono::minutes kReconnectFor{5};
inline constexpr std::chrono::milliseconds kReconnectPause{500};

// Progress goes to stderr, with --json to stdout as lines {"event": "round", "round"} and at the
// end {"event": "job", "job"}. kExitDone: it succeeded; kExitJobFailed; kExitDetached after Ctrl-C.
absl::StatusOr<ExitCode> FollowJob(Context& context, Api& api, const std::string& job);

}  // namespace muster::cli
