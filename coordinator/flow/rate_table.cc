#include "coordinator/flow/rate_table.h"

#include <algorithm>
#include <utility>

namespace muster {

RateTable::RateTable(Rate rate, size_t max_keys)
    : rate_(rate), max_keys_(std::max<size_t>(max_keys, 2)) {}

std::optional<Duration> RateTable::Take(const std::string& key, Timestamp now) {
  if (!rate_.limited()) return std::nullopt;
  std::lock_guard lock(mutex_);
  auto found = young_.find(key);
  if (found == young_.end()) {
    if (young_.size() >= max_keys_ / 2) old_ = std::exchange(young_, {});
    const auto before = old_.find(key);
    const TokenBucket bucket = before != old_.end() ? before->second : TokenBucket(rate_, now);
    if (before != old_.end()) old_.erase(before);
    found = young_.emplace(key, bucket).first;
  }
  auto wait = found->second.Take(now);
  refused_ += wait.has_value();
  return wait;
}

size_t RateTable::keys() const {
  std::lock_guard lock(mutex_);
  return young_.size() + old_.size();
}

uint64_t RateTable::refused() const {
  std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace muster
