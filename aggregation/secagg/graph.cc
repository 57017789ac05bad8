#include "aggregation/secagg/graph.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "aggregation/secagg/transcript.h"
#include "proto/crypto/hkdf.h"

namespace muster::secagg {
namespace {

// Everybody who draws from the same root draws the same numbers: blocks of HKDF output, taken as
// 32-bit little-endian numbers.
class RootNumbers {
 public:
  explicit RootNumbers(const Digest& root) : root_(root) {}

  // Uniform in [0, bound), without modulo bias; bound > 0.
  uint32_t Below(uint32_t bound) {
    const uint32_t reject_below = (0 - bound) % bound;  // 2^32 mod bound
    while (true) {
      const uint32_t value = Next();
      if (value >= reject_below) return value % bound;
    }
  }

 private:
  uint32_t Next() {
    if (used_ == block_.size()) Refill();
    uint32_t value = 0;
    for (size_t i = 4; i-- > 0;) value = value << 8 | block_[used_ + i];
    used_ += 4;
    return value;
  }

  void Refill() {
    const std::string_view root = root_.bytes();
    const std::string info = Transcript("muster/secagg/1/graph").AddNumber(blocks_++).bytes();
    Hkdf({}, {reinterpret_cast<const uint8_t*>(root.data()), root.size()}, info, block_);
    used_ = 0;
  }

  Digest root_;
  uint64_t blocks_ = 0;
  std::array<uint8_t, 1024> block_;
  size_t used_ = block_.size();
};

}  // namespace

bool Graph::Exists(uint32_t size, uint32_t neighbours) {
  if (neighbours < 1 || neighbours >= size) return false;
  return neighbours % 2 == 0 || neighbours == size - 1;
}

Graph::Graph(uint32_t size, uint32_t neighbours, const Digest& roster_root)
    : neighbours_(neighbours), position_(size), at_(size) {
  if (!Exists(size, neighbours)) std::abort();
  std::iota(at_.begin(), at_.end(), 0u);
  RootNumbers numbers(roster_root);
  // Fisher and Yates, from the end.
  for (uint32_t i = size - 1; i > 0; --i) std::swap(at_[i], at_[numbers.Below(i + 1)]);
  for (uint32_t i = 0; i < size; ++i) position_[at_[i]] = i;
}

uint32_t Graph::size() const { return static_cast<uint32_t>(at_.size()); }
uint32_t Graph::degree() const { return neighbours_; }

std::vector<uint32_t> Graph::NeighboursOf(uint32_t index) const {
  if (index >= size()) std::abort();
  std::vector<uint32_t> neighbours;
  neighbours.reserve(neighbours_);
  if (neighbours_ == size() - 1) {
    for (uint32_t i = 0; i < size(); ++i) {
      if (i != index) neighbours.push_back(i);
    }
    return neighbours;
  }
  const uint64_t position = position_[index];
  for (uint32_t step = 1; step <= neighbours_ / 2; ++step) {
    neighbours.push_back(at_[(position + step) % size()]);
    neighbours.push_back(at_[(position + size() - step) % size()]);
  }
  std::sort(neighbours.begin(), neighbours.end());
  return neighbours;
}

bool Graph::AreNeighbours(uint32_t a, uint32_t b) const {
  if (a >= size() || b >= size() || a == b) return false;
  if (neighbours_ == size() - 1) return true;
  const auto [low, high] = std::minmax(position_[a], position_[b]);
  const uint32_t distance = std::min(high - low, size() - (high - low));
  return distance <= neighbours_ / 2;
}

}  // namespace muster::secagg
