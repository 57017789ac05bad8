// Simulated time: what happens next, and nothing beside it. One thread runs everything.
//
// A coordinator's code is synchronous: while it waits for a disk, others must go on. So whoever is
// slow calls Pass(), and the world runs inside that call until the time is over. Calls nest, a few
// deep.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "proto/core/time.h"
#include "tests/sim/dice.h"
#include "tests/sim/trace.h"

namespace muster::sim {

class World {
 public:
  World(uint64_t seed, Trace& trace) : seed_(seed), dice_(seed, "world"), trace_(trace) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Timestamp now() const { return now_; }
  uint64_t seed() const { return seed_; }
  Dice& dice() { return dice_; }  // of network and faults

  void After(Duration delay, std::function<void()> action);

  // Until `until`, or `done`, or somebody calls Fail().
  void RunUntil(Timestamp until, const std::function<bool()>& done);
  // The caller is busy; the others go on. Takes no time where calls nest too deep.
  void Pass(Duration duration);
  // Nothing at all happens for so long: nobody is there.
  void Skip(Duration duration);

  void Say(std::string_view who, std::string_view what) { trace_.Say(now_, who, what); }
  // A promise was broken: the history ends here. The first reason stays.
  void Fail(const std::string& reason);
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }
  uint64_t events() const { return events_; }

 private:
  using Moment = std::pair<Timestamp, uint64_t>;  // the second: order of equal times
  void RunNext();

  const uint64_t seed_;
  Timestamp now_{1'700'000'000'000'000};
  uint64_t order_ = 0;
  uint64_t events_ = 0;
  int depth_ = 0;
  std::map<Moment, std::function<void()>> queue_;
  std::string failure_;
  Dice dice_;
  Trace& trace_;
};

// A clock that is wrong by some offset.
class SkewedClock final : public Clock {
 public:
  explicit SkewedClock(const World& world) : world_(world) {}
  Timestamp Now() override { return world_.now() + offset_; }
  void JumpTo(Duration offset) { offset_ = offset; }
  void Correct() { offset_ = {}; }
  Duration offset() const { return offset_; }

 private:
  const World& world_;
  Duration offset_{};
};

}  // namespace muster::sim
