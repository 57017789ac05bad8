// Discrete Gaussian noise (Canonne, Kamath, Steinke 2020, "The Discrete Gaussian for Differential
// Privacy", arXiv 2004.00010): the privacy of the continuous Gaussian, on whole numbers.
#pragma once

#include <cstdint>
#include <span>

#include "aggregation/privacy/exact/strip_sampler.h"
#include "aggregation/privacy/skellam.h"
#include "proto/core/random.h"

namespace muster {

// P(k) proportional to exp(-k^2 / (2 sigma^2)). Its variance is below sigma^2, by nothing that
// counts once sigma is above 1. Exact: no floating point touches the noise, and sigma is the double
// given, to its last bit; a double is a rational number (exact/strip_sampler.h has the method).
// Thread-safe. Aborts unless IsNoiseVariance(sigma^2).
//
// The paper's own algorithms 1 to 3 draw from the same distribution by simpler means, and are the
// reference in the tests; the strips cost the same at every sigma and need no small fractions.
class DiscreteGaussianSampler {
 public:
  explicit DiscreteGaussianSampler(double sigma);  // some milliseconds

  // For more than a few samples from the operating system, wrap it in BufferedRandom.
  int64_t Sample(RandomSource& random) const { return strips_.Sample(random); }
  // Adds a sample to each value; buffers `random` itself.
  void AddTo(std::span<int64_t> values, RandomSource& random) const;

 private:
  exact::StripSampler strips_;
};

}  // namespace muster
