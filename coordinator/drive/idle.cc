#include "coordinator/drive/idle.h"

#include <algorithm>

namespace muster {
namespace {

constexpr Duration kSoonest = std::chrono::milliseconds(10);
// Calls end without a word to whoever waits for quiet.
constexpr Duration kLatest = std::chrono::milliseconds(500);

}  // namespace

bool MayEnd(const IdleFacts& facts, Duration after) {
  if (facts.open_calls > 0 || facts.working || facts.quiet < after) return false;
  return !facts.next_task || *facts.next_task > after;
}

Duration LookAgainIn(const IdleFacts& facts, Duration after) {
  if (facts.quiet >= after) return kLatest;
  return std::clamp(after - facts.quiet, kSoonest, kLatest);
}

}  // namespace muster
