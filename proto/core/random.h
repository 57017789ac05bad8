// Chance by argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace muster {

class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void Fill(std::span<uint8_t> bytes) = 0;

  uint64_t Next64();
  uint64_t Below(uint64_t bound);  // uniform in [0, bound), without modulo bias; bound > 0
  double Unit();                   // uniform in [0, 1)
  std::string Hex(size_t bytes);   // 2 x bytes hex digits
};

// The operating system's generator through OpenSSL: keys, tokens, ids. Aborts if it fails, because
// there is no safe way on.
class SystemRandom final : public RandomSource {
 public:
  void Fill(std::span<uint8_t> bytes) override;
};

// SplitMix64 (Steele, Lea, Flood 2014): repeatable, for selection, simulation and initial weights.
// Never for secrets.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  void Fill(std::span<uint8_t> bytes) override;

 private:
  uint64_t state_;
};

// A seed for one purpose: the first eight bytes of SHA-256(seed || label).
uint64_t DeriveSeed(uint64_t seed, std::string_view label);

}  // namespace muster
