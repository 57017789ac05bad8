// Who shares with whom: a Harary ring over a random permutation of the roster (Bell et al. 2020,
// section 3.2). With k = n - 1 it is the complete graph.
#pragma once

#include <cstdint>
#include <vector>

#include "proto/core/digest.h"

namespace muster::secagg {

class Graph {
 public:
  // 1 <= neighbours < size, and neighbours is even unless it is size - 1.
  static bool Exists(uint32_t size, uint32_t neighbours);
  // The permutation comes from HKDF(roster_root) and nothing else. Aborts unless it Exists: check
  // numbers that came from outside first.
  Graph(uint32_t size, uint32_t neighbours, const Digest& roster_root);
  uint32_t size() const;
  uint32_t degree() const;
  std::vector<uint32_t> NeighboursOf(uint32_t index) const;  // ascending
  bool AreNeighbours(uint32_t a, uint32_t b) const;          // false beyond the roster

 private:
  uint32_t neighbours_ = 0;
  std::vector<uint32_t> position_;  // of each index on the ring
  std::vector<uint32_t> at_;        // index at each position
};

}  // namespace muster::secagg
