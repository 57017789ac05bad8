// Waiting for a coordinator to answer its first call.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/cli/api.h"
#include "proto/core/time.h"

namespace muster::cli {

// Knocks at the port every millisecond until something listens there, then makes one call, until
// it is answered or `wait` is over (Unavailable). Returns when the answer came. A refusal
// (PermissionDenied) is an answer too, and is told as one.
absl::StatusOr<Timestamp> WaitForAnswer(Api& api, Duration wait);

}  // namespace muster::cli
