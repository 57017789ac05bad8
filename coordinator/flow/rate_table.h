// One token bucket for each of many keys, in bounded memory. Thread-safe.
//
// A bucket that nobody asked for is as good as a full one, so what is forgotten is whoever was
// silent longest: the keys live in two generations, and the older is dropped when the younger is
// full. A forgotten key starts with a full bucket again.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "coordinator/flow/token_bucket.h"

namespace muster {

class RateTable {
 public:
  RateTable(Rate rate, size_t max_keys);

  // As TokenBucket::Take, for this key.
  std::optional<Duration> Take(const std::string& key, Timestamp now);

  const Rate& rate() const { return rate_; }
  size_t max_keys() const { return max_keys_; }
  size_t keys() const;
  uint64_t refused() const;

 private:
  using Generation = std::unordered_map<std::string, TokenBucket>;

  const Rate rate_;
  const size_t max_keys_;
  mutable std::mutex mutex_;
  Generation young_, old_;
  uint64_t refused_ = 0;
};

}  // namespace muster
