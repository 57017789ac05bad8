#include "proto/core/time.h"

#include <ctime>

#include "absl/strings/str_format.h"

namespace muster {

std::string Timestamp::ToString() const {
  constexpr int64_t kMicrosPerSecond = 1'000'000;
  int64_t seconds = unix_us / kMicrosPerSecond;
  int64_t micros = unix_us % kMicrosPerSecond;
  if (micros < 0) {  // before 1970: the fraction still counts forward
    micros += kMicrosPerSecond;
    --seconds;
  }
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm utc{};
  gmtime_r(&time, &utc);
  return absl::StrFormat("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                         utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, micros);
}

Timestamp SystemClock::Now() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<Duration>(since_epoch).count()};
}

}  // namespace muster
