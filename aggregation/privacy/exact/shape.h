// Distributions on the whole numbers that the strip sampler draws from: log-concave, with their
// mode at 0, known up to a constant factor to as many bits as anybody asks for.
#pragma once

#include <cstdint>

#include "aggregation/privacy/exact/bounds.h"

namespace muster::exact {

class Shape {
 public:
  virtual ~Shape() = default;
  // P(x) / P(0), in [0, 1], enclosed to about a unit of 2^-bits.
  virtual Bounds Density(int64_t x, unsigned bits) const = 0;
  // About the standard deviation. Speed depends on it, never the distribution.
  virtual double spread() const = 0;
};

// X - floor(rate) for X from Poisson(rate). A double is a rational number, so the rate is exact.
// Up to 2^115.
class PoissonShape final : public Shape {
 public:
  explicit PoissonShape(double rate);
  Bounds Density(int64_t x, unsigned bits) const override;
  double spread() const override;

 private:
  const double rate_;
  Integer numerator_, denominator_;  // of the rate
  Integer mode_;
};

// The discrete Gaussian: P(x) proportional to exp(-x^2 / (2 sigma^2)), for exactly this sigma.
class GaussianShape final : public Shape {
 public:
  explicit GaussianShape(double sigma);
  Bounds Density(int64_t x, unsigned bits) const override;
  double spread() const override { return sigma_; }

 private:
  const double sigma_;
  Integer numerator_, denominator_;  // of 1 / (2 sigma^2)
};

}  // namespace muster::exact
