#include "aggregation/privacy/exact/shape.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace muster::exact {
namespace {

constexpr int kMantissaBits = 53;

struct Dyadic {
  Integer numerator, denominator;
};

Dyadic ToDyadic(double value) {
  if (!std::isfinite(value) || value <= 0) std::abort();
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);
  const Integer mantissa(static_cast<int64_t>(std::ldexp(fraction, kMantissaBits)));
  exponent -= kMantissaBits;
  if (exponent >= 0) return {mantissa << static_cast<unsigned>(exponent), Integer(1)};
  return {mantissa, Integer::PowerOfTwo(static_cast<unsigned>(-exponent))};
}

}  // namespace

PoissonShape::PoissonShape(double rate) : rate_(rate) {
  Dyadic exact = ToDyadic(rate);
  numerator_ = std::move(exact.numerator);
  denominator_ = std::move(exact.denominator);
  mode_ = FloorDiv(numerator_, denominator_);
}

double PoissonShape::spread() const { return std::sqrt(rate_); }

// With n = mode + x, P(n) / P(mode) = rate^(n - mode) mode! / n!. By Stirling's formula, with R its
// rest, -ln of it is
//
//   (n + 1/2) ln(n / rate) - (mode + 1/2) ln(mode / rate) - (n - mode) + R(n) - R(mode)
//
// where the logarithms are of numbers close to 1: no large terms cancel. Where n or the mode is too
// small for Stirling's formula, it takes over from the first number m that is large enough, and the
// factors i / rate or rate / i between are multiplied one by one. All factors are at most 1.
Bounds PoissonShape::Density(int64_t x, unsigned bits) const {
  const Integer n = mode_ + Integer(x);
  if (n.negative()) return {Integer(0), Integer(0)};
  const Integer top = std::max(n, mode_);
  // Logarithms are multiplied by up to 2 n + 1; a few more bits for what rounding adds up to.
  const unsigned inner = bits + top.bits() + 24;
  const Integer floor = std::min(StirlingFloor(inner), top);
  const Integer from = std::max(mode_, floor);
  const Integer to = std::max(n, floor);

  const Integer one = Integer::PowerOfTwo(inner);
  Bounds density{one, one};
  const auto multiply = [&](const Integer& a, const Integer& b) {
    density = {FloorDiv(density.lo * a, b), CeilDiv(density.hi * a, b)};
  };
  for (Integer i = n + Integer(1); i <= to; i = i + Integer(1)) {
    multiply(i * denominator_, numerator_);
  }
  for (Integer i = mode_ + Integer(1); i <= from; i = i + Integer(1)) {
    multiply(numerator_, i * denominator_);
  }
  if (from != to) {
    const auto log = [&](const Integer& m) {
      return ScaledBy(Log(m * denominator_, numerator_, inner), (m << 1) + Integer(1));
    };
    const Integer steps = (to - from) << (inner + 1);
    const Bounds rest = StirlingRest(to, inner) - StirlingRest(from, inner);
    const Bounds twice = log(to) - log(from) - Bounds{steps, steps} + ScaledBy(rest, 2);
    const Bounds minus_log{FloorShift(twice.lo, 1), CeilShift(twice.hi, 1)};
    density = Product(density, ExpOfMinus(minus_log, inner), inner);
  }
  return Coarsened(density, inner, bits);
}

GaussianShape::GaussianShape(double sigma) : sigma_(sigma) {
  const Dyadic exact = ToDyadic(sigma);
  numerator_ = exact.denominator * exact.denominator;
  denominator_ = (exact.numerator * exact.numerator) << 1;
}

Bounds GaussianShape::Density(int64_t x, unsigned bits) const {
  const unsigned inner = bits + 16;
  const Bounds minus_log = Ratio(Integer(x) * Integer(x) * numerator_, denominator_, inner);
  return Coarsened(ExpOfMinus(minus_log, inner), inner, bits);
}

}  // namespace muster::exact
