// Lengths of time as people write them: "30s", "5m", "1h30m", "250ms".
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "proto/core/time.h"

namespace muster::cli {

// A run of whole numbers, each with its unit: us, ms, s, m, h or d. InvalidArgument for anything
// else and for what does not fit.
absl::StatusOr<Duration> ParseDuration(std::string_view text);
// "850 ms", "6.2 s", "3 min 20 s", "2 h 5 min".
std::string FormatDuration(Duration duration);

}  // namespace muster::cli
