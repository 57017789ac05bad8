#include "aggregation/privacy/accountant.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "aggregation/privacy/rounding.h"

namespace muster {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A bound at any order from bounds at whole ones: (alpha - 1) D_alpha is convex, and 0 at alpha =
// 1.
template <typename AtWhole>
double AtAnyOrder(double alpha, const AtWhole& at_whole) {
  const double below = std::floor(alpha);
  if (alpha == below) return at_whole(alpha);
  const double part = alpha - below;
  const double low = below > 1 ? (below - 1) * at_whole(below) : 0;
  const double high = below * at_whole(below + 1);
  return ((1 - part) * low + part * high) / (alpha - 1);
}

// ln(e^a + e^b)
double LogAdd(double a, double b) {
  const double top = std::max(a, b), low = std::min(a, b);
  return top == -kInfinity ? top : top + std::log1p(std::exp(low - top));
}

std::vector<double> MakeOrders() {
  std::vector<double> orders;
  for (int tenths = 11; tenths < 110; ++tenths) orders.push_back(tenths / 10.0);
  for (int order = 11; order < 64; ++order) orders.push_back(order);
  // Eight to an octave, for the small epsilons of much noise.
  for (int octave = 64; octave < 4096; octave *= 2) {
    for (int eighth = 0; eighth < 8; ++eighth) orders.push_back(octave + octave / 8 * eighth);
  }
  orders.push_back(4096);
  return orders;
}

}  // namespace

double GaussianRdp(double alpha, double noise_multiplier) {
  return alpha / (2 * noise_multiplier * noise_multiplier);
}

// (1 / (alpha - 1)) ln sum over k of C(alpha, k) (1-q)^(alpha-k) q^k exp((k^2 - k) / (2 z^2))
double SubsampledGaussianRdp(double alpha, double q, double noise_multiplier) {
  if (q <= 0) return 0;
  if (q >= 1) return GaussianRdp(alpha, noise_multiplier);
  return AtAnyOrder(alpha, [&](double order) {
    const double log_q = std::log(q), log_rest = std::log1p(-q);
    double log_sum = -kInfinity;
    double log_choose = 0;
    for (double k = 0; k <= order; ++k) {
      if (k > 0) log_choose += std::log((order - k + 1) / k);
      log_sum = LogAdd(log_sum, log_choose + k * log_q + (order - k) * log_rest +
                                    (k * k - k) / (2 * noise_multiplier * noise_multiplier));
    }
    return std::max(0.0, log_sum) / (order - 1);
  });
}

double SkellamRdp(double alpha, double variance, double l2, double l1) {
  const double square = l2 * l2;
  return AtAnyOrder(alpha, [&](double order) {
    const double first = ((2 * order - 1) * square + 6 * l1) / (4 * variance * variance);
    const double second = 3 * l1 / (2 * variance);
    return order * square / (2 * variance) + std::min(first, second);
  });
}

std::span<const double> DefaultRdpOrders() {
  static const std::vector<double> orders = MakeOrders();
  return orders;
}

RdpAccountant::RdpAccountant()
    : RdpAccountant(std::vector<double>(DefaultRdpOrders().begin(), DefaultRdpOrders().end())) {}

RdpAccountant::RdpAccountant(std::vector<double> orders)
    : orders_(std::move(orders)), rdp_(orders_.size(), 0.0) {}

void RdpAccountant::Add(const RdpCurve& curve, uint64_t count) {
  for (size_t i = 0; i < orders_.size(); ++i) {
    rdp_[i] += curve(orders_[i]) * static_cast<double>(count);
  }
}

double RdpAccountant::Epsilon(double delta) const {
  if (!(delta > 0 && delta < 1)) return kInfinity;
  double least = kInfinity;
  for (size_t i = 0; i < orders_.size(); ++i) {
    const double alpha = orders_[i];
    const double epsilon =
        rdp_[i] + std::log1p(-1 / alpha) - (std::log(delta) + std::log(alpha)) / (alpha - 1);
    if (epsilon < least) least = epsilon;  // NaN is no bound
  }
  return std::max(0.0, least);
}

double PlannedEpsilon(const RdpCurve& curve, uint32_t rounds, double delta) {
  if (rounds == 0) return 0;
  RdpAccountant accountant;
  accountant.Add(curve, rounds);
  return accountant.Epsilon(delta);
}

double UpdateNoiseMultiplier(const PrivacyConfig& config) {
  const double z = config.noise_multiplier;
  if (!config.adaptive_clip) return z;
  const double count = 2 * config.clip_noise;
  if (!(count > z)) return kInfinity;
  return 1 / std::sqrt(1 / (z * z) - 1 / (count * count));
}

double CentralNoiseDeviation(const PrivacyConfig& config, double clip, double scale,
                             uint64_t dimension) {
  return UpdateNoiseMultiplier(config) * ConditionalRoundingBound(clip * scale, dimension, 0);
}

double CentralEpsilon(const PrivacyConfig& config, uint32_t rounds) {
  if (rounds == 0) return 0;
  if (!std::isfinite(UpdateNoiseMultiplier(config))) return kInfinity;
  return PlannedEpsilon([&](double alpha) { return GaussianRdp(alpha, config.noise_multiplier); },
                        rounds, config.delta);
}

double NoiseVariancePerClient(double noise_multiplier, double clip, double scale,
                              uint32_t honest_floor) {
  if (honest_floor == 0) return kInfinity;
  const double deviation = noise_multiplier * clip * scale;
  return deviation * deviation / honest_floor;
}

double DistributedEpsilon(const PrivacyConfig& config, uint64_t dimension, double clip,
                          double scale, double variance_per_client, uint32_t honest_survivors,
                          uint32_t rounds) {
  if (rounds == 0) return 0;
  const uint64_t padded = std::bit_ceil(dimension);
  const double variance = variance_per_client * honest_survivors;
  if (!(variance > 0 && std::isfinite(variance))) return kInfinity;
  const double l2 = ConditionalRoundingBound(clip * scale, padded);
  // On whole numbers |x| <= x^2; and Cauchy-Schwarz.
  const double l1 = std::min(std::sqrt(static_cast<double>(padded)) * l2, l2 * l2);
  return PlannedEpsilon([&](double alpha) { return SkellamRdp(alpha, variance, l2, l1); }, rounds,
                        config.delta);
}

}  // namespace muster
