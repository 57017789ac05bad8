// A TCP relay to a server on this machine, that can cut an answer short in the middle.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "proto/core/files.h"

namespace muster {

class CuttingRelay {
 public:
  explicit CuttingRelay(int target_port);
  ~CuttingRelay();

  int port() const { return port_; }
  // The next `times` connections end after this many bytes of answers.
  void CutAnswers(int64_t after_bytes, int times) {
    after_bytes_ = after_bytes;
    times_ = times;
  }
  int cuts() const { return cuts_; }

 private:
  void Accept();
  void Relay(int client);

  const int target_port_;
  UniqueFd listener_;
  int port_ = 0;
  std::atomic<int64_t> after_bytes_{0};
  std::atomic<int> times_{0}, cuts_{0};
  std::mutex mutex_;
  std::vector<int> open_;  // sockets to shut down at the end
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  std::thread acceptor_;
};

}  // namespace muster
