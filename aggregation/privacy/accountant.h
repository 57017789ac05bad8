// What a job's rounds cost in privacy: Renyi differential privacy (Mironov 2017, arXiv 1702.07476),
// which adds up over rounds, and its conversion to (epsilon, delta).
//
// Whole clients are protected: neighbours are two cohorts of which one has a client's update
// replaced by zero. How many clients took part is public. No amplification by subsampling is ever
// claimed for a job: cohorts are chosen by the coordinator from whoever is there, which is not the
// secret, independent sampling that the theorems ask for. SubsampledGaussianRdp is here for
// comparison.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "proto/core/job_spec.h"

namespace muster {

// The Renyi divergence of order alpha > 1 that one release is bounded by.
using RdpCurve = std::function<double(double alpha)>;

// alpha / (2 z^2), with z = standard deviation / L2 sensitivity. Holds as well for the discrete
// Gaussian between vectors of whole numbers (Canonne, Kamath, Steinke 2020, arXiv 2004.00010).
double GaussianRdp(double alpha, double noise_multiplier);

// Where each client takes part with probability q, independently and in secret (Mironov, Talwar,
// Zhang 2019, arXiv 1908.10530). Between whole orders, a bound: see SkellamRdp.
double SubsampledGaussianRdp(double alpha, double q, double noise_multiplier);

// Skellam noise of variance mu on each coordinate of vectors of whole numbers, with sensitivities
// D2 in L2 and D1 in L1 (Agarwal, Kairouz, Liu 2021, arXiv 2110.04995), for whole orders:
//   alpha D2^2 / (2 mu) + min{((2 alpha - 1) D2^2 + 6 D1) / (4 mu^2), 3 D1 / (2 mu)}
// Between whole orders, the bound that follows because (alpha - 1) D_alpha is convex in alpha.
double SkellamRdp(double alpha, double variance, double l2, double l1);

// Orders from 1.1 to 4096.
std::span<const double> DefaultRdpOrders();

class RdpAccountant {
 public:
  RdpAccountant();  // at the default orders
  explicit RdpAccountant(std::vector<double> orders);

  void Add(const RdpCurve& curve, uint64_t count = 1);
  // min over alpha of RDP + ln((alpha - 1) / alpha) - (ln delta + ln alpha) / (alpha - 1), at least
  // 0 (Canonne, Kamath, Steinke 2020, proposition 12; Balle et al. 2020, arXiv 1905.09982, theorem
  // 21). Infinity where nothing is bounded, or for a delta outside (0, 1).
  double Epsilon(double delta) const;

 private:
  std::vector<double> orders_, rdp_;
};

// Epsilon of `rounds` releases of the same curve.
double PlannedEpsilon(const RdpCurve& curve, uint32_t rounds, double delta);

// Central noise. With adaptive clipping the count of unclipped updates is released with noise of
// deviation s = config.clip_noise (in clients, set by the caller), and the update gets more noise,
// so that both together cost what noise_multiplier z alone would:
//   (z^-2 - (2 s)^-2)^(-1/2)
// (Andrew et al. 2021, arXiv 1905.03871, theorem 1). The count is of +1/2 and -1/2: whoever adds
// the noise shifts by half the number of clients, which is public. Infinity unless 2 s > z.
double UpdateNoiseMultiplier(const PrivacyConfig& config);
// The deviation of the sum's noise in ring units, where clients round to whole numbers without a
// condition: UpdateNoiseMultiplier * (clip * scale + sqrt(dimension)).
double CentralNoiseDeviation(const PrivacyConfig& config, double clip, double scale,
                             uint64_t dimension);
// Epsilon of `rounds` sums with that noise, and of the counts. Infinity where
// UpdateNoiseMultiplier is.
double CentralEpsilon(const PrivacyConfig& config, uint32_t rounds);

// Distributed noise. What each client adds, in ring units squared, so that `honest_floor` clients
// together have the standard deviation noise_multiplier * clip * scale. `honest_floor` is the
// fewest honest clients that any released sum has: who colludes or drops out adds no noise that
// counts. Infinity if it is 0.
double NoiseVariancePerClient(double noise_multiplier, double clip, double scale,
                              uint32_t honest_floor);
// Epsilon of `rounds` sums of conditionally rounded updates (rounding.h) with the noise of
// `honest_survivors` clients. `dimension` counts as the next power of two, as the transform pads
// it.
double DistributedEpsilon(const PrivacyConfig& config, uint64_t dimension, double clip,
                          double scale, double variance_per_client, uint32_t honest_survivors,
                          uint32_t rounds);

}  // namespace muster
