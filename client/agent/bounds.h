// How long a piece of work may take, and how to end it early.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "absl/status/status.h"
#include "proto/core/limits.h"
#include "proto/core/random.h"
#include "proto/core/retry_after.h"

namespace muster {

struct Bounds {
  using Clock = std::chrono::system_clock;  // gRPC's deadlines are wall clock

  std::stop_token stop;
  Clock::time_point deadline = Clock::time_point::max();

  // Of one call: not after the work's own deadline.
  Clock::time_point CallDeadline(Clock::duration limit = limits::kDefaultRpcDeadline) const {
    return std::min(deadline, Clock::now() + limit);
  }
  // Why to end now, or OK.
  absl::Status Check() const {
    if (stop.stop_requested()) return absl::CancelledError("the agent is stopping");
    if (Clock::now() >= deadline) return absl::DeadlineExceededError("its deadline passed");
    return absl::OkStatus();
  }
  // Pauses between tries: at least as long as the coordinator asks in `failure`, and a random part
  // of that more.
  absl::Status PauseAfter(const absl::Status& failure, std::chrono::milliseconds time) const {
    if (const auto asked = RetryAfter(failure)) {
      const double longer = 1 + 0.5 * SystemRandom().Unit();
      time = std::max(time, std::chrono::ceil<std::chrono::milliseconds>(*asked * longer));
    }
    return Pause(time);
  }
  // Waits, or less long if told to stop; then as Check.
  absl::Status Pause(std::chrono::milliseconds time) const {
    std::mutex mutex;
    std::condition_variable_any condition;
    std::unique_lock lock(mutex);
    condition.wait_until(lock, stop, std::min(deadline, Clock::now() + time), [] { return false; });
    return Check();
  }
};

}  // namespace muster
