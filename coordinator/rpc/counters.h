// Counts and times of RPCs: by method and code, never by device, for /metrics; and how many are
// open now, for who decides whether to end.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace muster {

class RpcCounters {
 public:
  using Clock = std::chrono::steady_clock;

  struct Row {
    std::string method, code;
    uint64_t calls = 0;
    double seconds = 0;
  };

  void Count(const char* method, absl::StatusCode code, double seconds) {
    std::lock_guard lock(mutex_);
    auto& cell = cells_[{method, code}];
    ++cell.calls;
    cell.seconds += seconds;
  }

  // Calls that have come and not ended, held ones and those that wait for a thread too.
  size_t open() const { return open_.load(); }
  uint64_t begun() const { return begun_.load(); }
  // Since the last call ended, or since this object was made.
  Clock::duration quiet() const {
    return open() > 0 ? Clock::duration::zero() : Clock::now() - Clock::time_point(ended_.load());
  }

  std::vector<Row> Rows() const {
    std::lock_guard lock(mutex_);
    std::vector<Row> rows;
    for (const auto& [key, cell] : cells_) {
      rows.push_back({key.first, absl::StatusCodeToString(key.second), cell.calls, cell.seconds});
    }
    return rows;
  }

 private:
  friend class CallTimer;
  struct Cell {
    uint64_t calls = 0;
    double seconds = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, absl::StatusCode>, Cell> cells_;
  std::atomic<size_t> open_{0};
  std::atomic<uint64_t> begun_{0};
  std::atomic<Clock::duration> ended_{Clock::now().time_since_epoch()};
};

// One open call, from its arrival until this object ends. Counts it when told how it ended.
class CallTimer {
 public:
  CallTimer(RpcCounters& counters, const char* method) : counters_(counters), method_(method) {
    ++counters_.begun_;
    ++counters_.open_;
  }
  ~CallTimer() {
    counters_.ended_ = RpcCounters::Clock::now().time_since_epoch();
    --counters_.open_;
  }
  CallTimer(const CallTimer&) = delete;
  CallTimer& operator=(const CallTimer&) = delete;

  void Ended(absl::StatusCode code) const {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
    counters_.Count(method_, code, spent.count());
  }

 private:
  RpcCounters& counters_;
  const char* method_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace muster
