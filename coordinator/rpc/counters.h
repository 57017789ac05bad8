// Counts and times of RPCs for /metrics: by method and code, never by device.
#pragma once

#include <array>
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

  std::vector<Row> Rows() const {
    std::lock_guard lock(mutex_);
    std::vector<Row> rows;
    for (const auto& [key, cell] : cells_) {
      rows.push_back({key.first, absl::StatusCodeToString(key.second), cell.calls, cell.seconds});
    }
    return rows;
  }

 private:
  struct Cell {
    uint64_t calls = 0;
    double seconds = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, absl::StatusCode>, Cell> cells_;
};

// Counts one call when it is told how it ended.
class CallTimer {
 public:
  CallTimer(RpcCounters& counters, const char* method) : counters_(counters), method_(method) {}
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
