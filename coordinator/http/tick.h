// POST /tick: carries out what is due, and says what ran and what is due next. For whoever wakes a
// coordinator that does not run all the time: a systemd timer, cron, a Knative PingSource (its
// CloudEvent may say what it likes).
//
// It asks for no identity. A tick changes nothing that the clock alone would not change, runs one
// at a time, and is bounded in work and in rate; whoever may reach the port may at most make a
// running coordinator look at its clock.
#pragma once

#include <atomic>
#include <cstdint>

#include "coordinator/drive/context.h"
#include "coordinator/drive/tasks.h"
#include "coordinator/flow/token_bucket.h"
#include "coordinator/http/http_server.h"

namespace muster {

inline constexpr size_t kMaxTasksPerTick = 1000;
inline constexpr double kTicksPerSecond = 1;
inline constexpr double kTickBurst = 5;

class Ticker {
 public:
  Ticker(DriveContext& drive, TaskRunner& tasks);

  // JSON {"ran", "ran_since_start", "next_due"}; 429 above the rate, 503 if the store fails. One
  // thread at a time.
  HttpResponse Tick();
  uint64_t refused() const { return refused_; }

 private:
  DriveContext& drive_;
  TaskRunner& tasks_;
  TokenBucket bucket_;
  std::atomic<uint64_t> refused_{0};
};

}  // namespace muster
