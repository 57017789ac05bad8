// Pace steering: when each idle device should call again, so that calls come evenly however they
// came this time. Pure: no clock and no dice.
//
// The future is a row of slots, 1 / per_second apart. Who calls is told the next free slot, at
// least the fleet's even pace from now: so ten thousand devices that come at once are told times
// that lie apart, and keep them from then on. What does not fit before `max` is spread over
// the last three quarters of it by a low-discrepancy sequence. A restart forgets the row: devices
// keep the times that they were told.
#pragma once

#include <cstddef>
#include <cstdint>

#include "proto/core/time.h"

namespace muster {

struct PaceLimits {
  double per_second = 500;  // idle check-ins, that the pace aims at
  Duration min = std::chrono::seconds(2);
  Duration max = std::chrono::minutes(10);
};

class Pacer {
 public:
  explicit Pacer(PaceLimits limits) : limits_(limits) {}

  // Counts an arrival at `now` and gives the next one its time: from `limits.min` to `limits.max`.
  Duration Next(size_t fleet_size, Timestamp now);

  const PaceLimits& limits() const { return limits_; }
  // Arrivals a second, smoothed exponentially over some seconds.
  double ArrivalRate(Timestamp now) const;

 private:
  void Count(Timestamp now);

  PaceLimits limits_;
  Timestamp next_slot_;
  uint64_t beyond_ = 0;  // slots that did not fit
  double rate_ = 0;
  Timestamp counted_;
};

// The pace of a fleet of this size whose calls come evenly already.
Duration EvenPace(const PaceLimits& limits, size_t fleet_size);

}  // namespace muster
