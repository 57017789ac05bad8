// Ctrl-C as a stop token, so that what waits can end in good order.
#pragma once

#include <stop_token>
#include <thread>

#include "proto/core/files.h"

namespace muster::cli {

// While it lives, the first SIGINT or SIGTERM asks for a stop; the second ends the program. One at
// a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  bool interrupted() const { return stop_.stop_requested(); }

 private:
  std::stop_source stop_;
  UniqueFd read_, write_;
  std::thread waiter_;
};

}  // namespace muster::cli
