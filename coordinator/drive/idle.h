// Whether a coordinator that others can wake has nothing left to do.
#pragma once

#include <cstddef>
#include <optional>

#include "proto/core/time.h"

namespace muster {

struct IdleFacts {
  size_t open_calls =
      0;  // RPCs and HTTP requests, held ones too: an open round's work is among them
  bool working = false;               // a task is in hand
  Duration quiet{};                   // since the last call ended
  std::optional<Duration> next_task;  // until it is due; none: nothing is planned
};

// Quiet for `after`, and nothing falls due within the same time again. Later tasks wait in the
// store for the next start or tick.
bool MayEnd(const IdleFacts& facts, Duration after);

// How long until MayEnd() may become true if nothing else happens, at least a moment.
Duration LookAgainIn(const IdleFacts& facts, Duration after);

}  // namespace muster
