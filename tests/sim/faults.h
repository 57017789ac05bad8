// What may go wrong in a history, and how often. Every history draws its own: some faults are off,
// some frequent, so that rare combinations come up and most histories still train.
#pragma once

#include <string>

#include "proto/core/time.h"
#include "tests/sim/dice.h"

namespace muster::sim {

// Probabilities are per message, per point at which something becomes durable, or per gremlin.
struct Faults {
  // Messages.
  double lose = 0;
  double repeat = 0;
  double delay = 0;  // of seconds, so that others overtake
  // Points at which a coordinator makes something durable.
  double crash = 0;      // before or after it
  double fail = 0;       // the store is away, nothing happened
  double ambiguous = 0;  // it happened, and the answer is an error
  double conflict = 0;   // another writer came first
  double slow = 0;       // others go on meanwhile
  Duration slow_most{};
  // Points at which a device makes something durable.
  double device_crash = 0;  // before or after it
  double device_full = 0;
  double device_rollback = 0;  // at a restart: an earlier disk comes back
  double function_fails = 0;
  double upload_cut = 0;
  // Gremlins: what they do, relative to each other.
  Duration gremlin_every{};  // 0: none
  uint32_t crashes = 0, jumps = 0, partitions = 0, outages = 0, full_disks = 0, device_crashes = 0,
           absences = 0, sweeps = 0, cancels = 0;
  Duration jump_most{};

  static Faults Draw(Dice& dice);
  bool any() const { return gremlin_every > Duration::zero() || lose > 0 || crash > 0; }
  std::string ToString() const;
};

}  // namespace muster::sim
