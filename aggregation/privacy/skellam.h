// Skellam noise (Skellam 1946): the difference of two Poisson variables of the same rate. Sums of
// Skellam noise are Skellam noise, so that clients can each add a part of it (Agarwal, Kairouz, Liu
// 2021, "The Skellam Mechanism for Differentially Private Federated Learning", arXiv 2110.04995).
#pragma once

#include <cstdint>
#include <span>

#include "aggregation/privacy/exact/strip_sampler.h"
#include "proto/core/random.h"

namespace muster {

// What the samplers of this folder take. The upper end keeps the noise, and sums of it, well within
// 64 bits.
inline constexpr double kMinNoiseVariance = 0x1p-40;
inline constexpr double kMaxNoiseVariance = 0x1p114;
bool IsNoiseVariance(double variance);  // finite and within both

// P(k) = e^-V I_k(V) with V the variance, and I the modified Bessel function. Exact: no floating
// point touches the noise, and the variance is the double given, to its last bit (see
// exact/strip_sampler.h for the method). Thread-safe. A variance for which IsNoiseVariance is false
// aborts: check what comes from outside.
class SkellamSampler {
 public:
  explicit SkellamSampler(double variance);  // some milliseconds

  // For more than a few samples from the operating system, wrap it in BufferedRandom.
  int64_t Sample(RandomSource& random) const {
    const int64_t plus = poisson_.Sample(random);  // in this order on every machine
    return plus - poisson_.Sample(random);
  }
  // Adds a sample to each value; buffers `random` itself.
  void AddTo(std::span<int64_t> values, RandomSource& random) const;

 private:
  exact::StripSampler poisson_;  // less its mode, which the difference cancels
};

}  // namespace muster
