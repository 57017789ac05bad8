#include "coordinator/flow/pacer.h"

#include <algorithm>
#include <cmath>

namespace muster {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr double kSmoothOver = 10;  // seconds
// Its multiples, modulo 1, cover the unit interval as evenly as a sequence without an end can.
constexpr double kGoldenRatio = 0.6180339887498949;

Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(Seconds(seconds));
}

}  // namespace

Duration EvenPace(const PaceLimits& limits, size_t fleet_size) {
  const double seconds = static_cast<double>(fleet_size) / limits.per_second;
  // In seconds: a fleet may be so large, or the rate so low, that microseconds would overflow.
  if (seconds >= Seconds(limits.max).count()) return limits.max;
  return std::max(limits.min, FromSeconds(seconds));
}

Duration Pacer::Next(size_t fleet_size, Timestamp now) {
  Count(now);
  const Duration half = limits_.min + (limits_.max - limits_.min) / 2;
  const Duration step = FromSeconds(1 / limits_.per_second);
  if (next_slot_ > now + limits_.max + step) next_slot_ = now;  // the clock was set back
  const Timestamp earliest = now + std::min(EvenPace(limits_, fleet_size), half);
  const Timestamp slot = std::max(earliest, next_slot_);
  if (slot - now <= limits_.max) {
    next_slot_ = slot + step;
    return slot - now;
  }
  const Duration quarter = limits_.min + (limits_.max - limits_.min) / 4;
  const double part = std::fmod(static_cast<double>(++beyond_) * kGoldenRatio, 1.0);
  return quarter + FromSeconds(part * Seconds(limits_.max - quarter).count());
}

void Pacer::Count(Timestamp now) {
  rate_ = ArrivalRate(now) + 1 / kSmoothOver;
  counted_ = now;
}

double Pacer::ArrivalRate(Timestamp now) const {
  if (now <= counted_) return rate_;
  return rate_ * std::exp(-Seconds(now - counted_).count() / kSmoothOver);
}

}  // namespace muster
