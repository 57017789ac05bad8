// Chance in a simulated history: every die of it is thrown from the seed.
#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>
#include <vector>

#include "proto/core/random.h"
#include "proto/core/time.h"

namespace muster::sim {

class Dice {
 public:
  Dice(uint64_t seed, std::string_view purpose) : random_(DeriveSeed(seed, purpose)) {}

  bool Chance(double probability) { return probability > 0 && random_.Unit() < probability; }
  uint64_t Below(uint64_t bound) { return random_.Below(bound); }
  double Unit() { return random_.Unit(); }
  // Uniform in [least, most].
  Duration Between(Duration least, Duration most) {
    return least +
           Duration(static_cast<int64_t>(Below(static_cast<uint64_t>((most - least).count()) + 1)));
  }
  template <typename T>
  T OneOf(std::initializer_list<T> choices) {
    return *(choices.begin() + Below(choices.size()));
  }
  RandomSource& source() { return random_; }

 private:
  SeededRandom random_;
};

}  // namespace muster::sim
