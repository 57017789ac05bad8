#include "coordinator/flow/token_bucket.h"

#include <algorithm>

namespace muster {
namespace {

constexpr double kRounding = 1e-9;  // whoever waits as told gets in

}  // namespace

TokenBucket::TokenBucket(Rate rate, Timestamp now)
    : rate_(rate), tokens_(std::max(1.0, rate.burst)), filled_(now) {}

std::optional<Duration> TokenBucket::Take(Timestamp now) {
  using Seconds = std::chrono::duration<double>;
  if (!rate_.limited()) return std::nullopt;
  if (now > filled_) {
    tokens_ += Seconds(now - filled_).count() * rate_.per_second;
    tokens_ = std::min(tokens_, std::max(1.0, rate_.burst));
  }
  filled_ = now;
  if (tokens_ >= 1 - kRounding) {
    tokens_ -= 1;
    return std::nullopt;
  }
  return std::chrono::ceil<Duration>(Seconds((1 - tokens_) / rate_.per_second));
}

}  // namespace muster
