// Time by argument: step functions take a Timestamp, shells read a Clock.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace muster {

using Duration = std::chrono::microseconds;

// Microseconds since the Unix epoch, UTC.
struct Timestamp {
  int64_t unix_us = 0;

  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
  friend Timestamp operator+(Timestamp t, Duration d) { return {t.unix_us + d.count()}; }
  friend Timestamp operator-(Timestamp t, Duration d) { return {t.unix_us - d.count()}; }
  friend Duration operator-(Timestamp a, Timestamp b) { return Duration(a.unix_us - b.unix_us); }

  std::string ToString() const;  // RFC 3339 with microseconds, "2026-01-02T03:04:05.000006Z"
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp Now() = 0;
};

class SystemClock final : public Clock {
 public:
  Timestamp Now() override;
};

// For tests and simulation: stands still until told.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Timestamp start = {1'700'000'000'000'000}) : now_(start) {}
  Timestamp Now() override { return now_; }
  void Advance(Duration by) { now_ = now_ + by; }

 private:
  Timestamp now_;
};

}  // namespace muster
