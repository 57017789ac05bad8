#include "proto/core/retry_after.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_format.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kPayload[] = "muster/retry-after-us";

Duration Bounded(Duration wait) {
  return std::clamp<Duration>(wait, std::chrono::milliseconds(1), kMaxRetryAfter);
}

}  // namespace

void SetRetryAfter(absl::Status& status, Duration wait) {
  status.SetPayload(kPayload, absl::Cord(std::to_string(Bounded(wait).count())));
}

std::optional<Duration> RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  if (!payload) return std::nullopt;
  const std::string text(*payload);
  int64_t microseconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), microseconds);
  return Bounded(Duration(microseconds));
}

absl::Status BusyError(std::string_view what, Duration wait) {
  wait = Bounded(wait);
  const double seconds = std::chrono::duration<double>(wait).count();
  absl::Status status = absl::ResourceExhaustedError(
      StrCat(what, "; try again in ", absl::StrFormat("%.3g", seconds), " s"));
  SetRetryAfter(status, wait);
  return status;
}

}  // namespace muster
