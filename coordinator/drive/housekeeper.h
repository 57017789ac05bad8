// Small chores beside the calls, each at its own pace: what keeps the store tidy, never what a
// round waits for (that is a task in the store). A chore that fails is logged and comes again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "proto/core/time.h"

namespace muster {

struct Chore {
  std::string name;  // for the log
  Duration every{};
  std::function<absl::Status(std::stop_token)> run;  // Cancelled when it is told to stop
};

class Housekeeper {
 public:
  explicit Housekeeper(std::vector<Chore> chores);
  ~Housekeeper();  // tells the chore in hand to stop, and waits for it
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  bool working() const { return working_.load(); }

 private:
  void Run(std::stop_token stop);

  std::vector<Chore> chores_;
  std::atomic<bool> working_{false};
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::jthread thread_;
};

}  // namespace muster
