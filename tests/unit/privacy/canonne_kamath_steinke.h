// Algorithms 1 to 3 of Canonne, Kamath, Steinke 2020, "The Discrete Gaussian for Differential
// Privacy" (arXiv 2004.00010), as they are printed: whole numbers and fair coins only. Slow, simple
// and independent of the strips: the reference for DiscreteGaussianSampler. For sigma below 1000.
#pragma once

#include <cstdint>

#include "proto/core/random.h"

namespace muster::reference {

inline bool Bernoulli(uint64_t numerator, uint64_t denominator, RandomSource& random) {
  return random.Below(denominator) < numerator;
}

// Algorithm 1: true with probability exp(-numerator / denominator).
inline bool BernoulliExp(uint64_t numerator, uint64_t denominator, RandomSource& random) {
  for (; numerator > denominator; numerator -= denominator) {
    if (!BernoulliExp(1, 1, random)) return false;
  }
  uint64_t k = 1;
  while (Bernoulli(numerator, denominator * k, random)) ++k;
  return k % 2 == 1;
}

// Algorithm 2 with s = 1: P(x) proportional to exp(-|x| / t).
inline int64_t DiscreteLaplace(uint64_t t, RandomSource& random) {
  while (true) {
    const uint64_t u = random.Below(t);
    if (!BernoulliExp(u, t, random)) continue;
    uint64_t v = 0;
    while (BernoulliExp(1, 1, random)) ++v;
    const auto x = static_cast<int64_t>(u + t * v);
    const bool minus = Bernoulli(1, 2, random);
    if (minus && x == 0) continue;
    return minus ? -x : x;
  }
}

// Algorithm 3, with sigma^2 = numerator / denominator and t = floor(sigma) + 1.
inline int64_t DiscreteGaussian(uint64_t numerator, uint64_t denominator, RandomSource& random) {
  uint64_t t = 1;
  while (t * t * denominator <= numerator) ++t;
  while (true) {
    const int64_t y = DiscreteLaplace(t, random);
    const auto magnitude = static_cast<uint64_t>(y < 0 ? -y : y);
    // (|y| - sigma^2 / t)^2 / (2 sigma^2), over the common denominator.
    const uint64_t a = magnitude * t * denominator;
    const uint64_t gap = a > numerator ? a - numerator : numerator - a;
    if (BernoulliExp(gap * gap, 2 * numerator * t * t * denominator, random)) return y;
  }
}

}  // namespace muster::reference
