#include "tests/sim/world.h"

#include <algorithm>

namespace muster::sim {
namespace {

constexpr int kMaxDepth = 3;
// No honest history needs so many: something spins.
constexpr uint64_t kMaxEvents = 3'000'000;

}  // namespace

void World::After(Duration delay, std::function<void()> action) {
  queue_.emplace(Moment{now_ + std::max(delay, Duration::zero()), order_++}, std::move(action));
}

void World::RunNext() {
  auto next = queue_.extract(queue_.begin());
  now_ = std::max(now_, next.key().first);
  if (++events_ > kMaxEvents) return Fail("the history does not come to an end");
  next.mapped()();
}

void World::RunUntil(Timestamp until, const std::function<bool()>& done) {
  while (!failed() && !done() && !queue_.empty() && queue_.begin()->first.first <= until) RunNext();
  if (!failed() && !done()) now_ = std::max(now_, until);
}

void World::Pass(Duration duration) {
  if (depth_ >= kMaxDepth) return;
  ++depth_;
  RunUntil(now_ + duration, [] { return false; });
  --depth_;
}

void World::Skip(Duration duration) {
  // What was due is late by as much: timers fire when somebody is there again.
  now_ = now_ + duration;
}

void World::Fail(const std::string& reason) {
  if (failed()) return;
  failure_ = reason;
  Say("!", reason);
}

}  // namespace muster::sim
