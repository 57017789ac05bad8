// How long a caller that was refused for now should wait, inside the Status that says so.
#pragma once

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "proto/core/time.h"

namespace muster {

// No refusal asks for more: who is away longer has other reasons.
inline constexpr Duration kMaxRetryAfter = std::chrono::hours(1);

// From 1 ms to kMaxRetryAfter. Does nothing to an OK status.
void SetRetryAfter(absl::Status& status, Duration wait);
std::optional<Duration> RetryAfter(const absl::Status& status);

// ResourceExhausted that says what is exhausted and when to come back.
absl::Status BusyError(std::string_view what, Duration wait);

}  // namespace muster
