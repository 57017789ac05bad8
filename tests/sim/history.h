// One history: a fleet, a coordinator of one to three replicas, one or two jobs and whatever goes
// wrong, all drawn from a seed. First there are faults, then everything heals and must come to its
// end; in some histories months pass, and those who were away come back with what they had.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

#include "proto/core/digest.h"
#include "tests/sim/planted.h"
#include "tests/sim/promises.h"

namespace muster::sim {

struct HistoryOptions {
  uint64_t seed = 1;
  Plant plant = Plant::kNone;
  std::ostream* trace = nullptr;  // a copy of every line
};

struct HistoryResult {
  uint64_t seed = 0;
  Digest hash;          // of the whole trace
  size_t lines = 0;     // of it
  std::string failure;  // the promise that was broken, or empty
  uint64_t events = 0;
  Promises::Totals totals;
};

// Not beside another one in the same process: OpenSSL's dice are the process's.
HistoryResult Play(const HistoryOptions& options);

}  // namespace muster::sim
