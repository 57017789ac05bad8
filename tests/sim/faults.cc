#include "tests/sim/faults.h"

#include "proto/core/strings.h"

namespace muster::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// Off as often as on.
double Maybe(Dice& dice, double some, double many) { return dice.OneOf({0.0, 0.0, some, many}); }

}  // namespace

Faults Faults::Draw(Dice& dice) {
  Faults faults;
  if (dice.Chance(0.05)) return faults;  // an undisturbed history, now and then
  faults.lose = Maybe(dice, 0.01, 0.15);
  faults.repeat = Maybe(dice, 0.02, 0.2);
  faults.delay = Maybe(dice, 0.01, 0.1);
  faults.crash = Maybe(dice, 0.002, 0.02);
  faults.fail = Maybe(dice, 0.005, 0.05);
  faults.ambiguous = Maybe(dice, 0.005, 0.05);
  faults.conflict = Maybe(dice, 0.01, 0.1);
  faults.slow = Maybe(dice, 0.02, 0.2);
  faults.slow_most = dice.OneOf<Duration>({milliseconds(20), seconds(2), seconds(90)});
  faults.device_crash = Maybe(dice, 0.005, 0.05);
  faults.device_full = Maybe(dice, 0.005, 0.05);
  faults.device_rollback = Maybe(dice, 0.1, 0.5);
  faults.function_fails = Maybe(dice, 0.02, 0.1);
  faults.upload_cut = Maybe(dice, 0.05, 0.3);
  faults.gremlin_every = dice.OneOf<Duration>({Duration{}, seconds(3), seconds(15)});
  const auto weight = [&dice] { return static_cast<uint32_t>(dice.OneOf({0, 1, 1, 5})); };
  faults.crashes = weight();
  faults.jumps = weight();
  faults.partitions = weight();
  faults.outages = weight();
  faults.full_disks = weight();
  faults.device_crashes = weight();
  faults.absences = weight();
  faults.sweeps = weight();
  faults.cancels = dice.Chance(0.03) ? 1 : 0;
  faults.jump_most =
      dice.OneOf<Duration>({milliseconds(500), seconds(30), seconds(30), minutes(10)});
  return faults;
}

std::string Faults::ToString() const {
  return StrCat("lose=", lose, " repeat=", repeat, " delay=", delay, " crash=", crash,
                " fail=", fail, " ambiguous=", ambiguous, " conflict=", conflict, " slow=", slow,
                "/", slow_most.count(), "us device_crash=", device_crash,
                " device_full=", device_full, " rollback=", device_rollback,
                " gremlins=", gremlin_every.count(), "us");
}

}  // namespace muster::sim
