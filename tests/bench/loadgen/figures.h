// What a run of the load generator measures on its own side of the wire.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "proto/core/time.h"

namespace muster::load {

// How long calls took: a histogram with a step of 5 %, so that its size does not depend on the
// load.
class Latencies {
 public:
  void Add(Duration took);
  nlohmann::json ToJson() const;  // {count, p50_ms, p99_ms, max_ms}

 private:
  static constexpr size_t kBuckets = 400;  // to about 5 minutes
  double At(double quantile, uint64_t count) const;

  std::array<std::atomic<uint64_t>, kBuckets> buckets_{};
  std::atomic<int64_t> longest_us_{0};
};

// Of one command. Thread-safe.
class Figures {
 public:
  Latencies& calls(const std::string& method);
  void AddBytes(uint64_t up, uint64_t down) {
    bytes_up_ += up;
    bytes_down_ += down;
  }
  // How a device's part ended, or why a call failed.
  void Count(const std::string& outcome);
  uint64_t counted(const std::string& outcome) const;
  nlohmann::json ToJson() const;  // {calls: {METHOD: ...}, outcomes: {...}, bytes_up, bytes_down}

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Latencies> calls_;
  std::map<std::string, uint64_t> outcomes_;
  std::atomic<uint64_t> bytes_up_{0}, bytes_down_{0};
};

}  // namespace muster::load
