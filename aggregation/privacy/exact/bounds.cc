#include "aggregation/privacy/exact/bounds.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace muster::exact {
namespace {

// artanh(a / b) for 0 <= a / b <= 1/3, by its series sum of z^(2i+1) / (2i+1).
Bounds ArTanh(const Integer& a, const Integer& b, unsigned bits) {
  const Bounds z = Ratio(a, b, bits);
  const Bounds square = Product(z, z, bits);
  Bounds power = z;
  Bounds sum = z;
  const Integer ulp(1);
  for (uint64_t odd = 3; power.hi > ulp; odd += 2) {
    power = Product(power, square, bits);
    sum.lo = sum.lo + FloorDivSmall(power.lo, odd);
    sum.hi = sum.hi + CeilDivSmall(power.hi, odd);
  }
  // What is left is below power z^2 / (1 - z^2) <= power / 8, less than one unit.
  sum.hi = sum.hi + ulp;
  return sum;
}

struct Fraction {
  uint64_t numerator, denominator;
};

// |B_2i| / (2i (2i - 1)) with Bernoulli's numbers, for i = 1, 2, ...; the signs alternate. The next
// one is 26315271553053477373 / 2418179400 < 2^34.
constexpr std::array<Fraction, 17> kStirling = {{{1, 12},
                                                 {1, 360},
                                                 {1, 1260},
                                                 {1, 1680},
                                                 {1, 1188},
                                                 {691, 360360},
                                                 {1, 156},
                                                 {3617, 122400},
                                                 {43867, 244188},
                                                 {174611, 125400},
                                                 {77683, 5796},
                                                 {236364091, 1506960},
                                                 {657931, 300},
                                                 {3392780147, 93960},
                                                 {1723168255201, 2492028},
                                                 {7709321041217, 505920},
                                                 {151628697551, 396}}};
constexpr unsigned kNextStirlingLog2 = 34;
constexpr unsigned kNextStirlingPower = 35;  // the next term is below 2^34 / n^35

}  // namespace

Bounds operator+(const Bounds& a, const Bounds& b) { return {a.lo + b.lo, a.hi + b.hi}; }
Bounds operator-(const Bounds& a, const Bounds& b) { return {a.lo - b.hi, a.hi - b.lo}; }

Bounds ScaledBy(const Bounds& a, const Integer& factor) {
  if (factor.negative()) return {a.hi * factor, a.lo * factor};
  return {a.lo * factor, a.hi * factor};
}

Bounds Product(const Bounds& a, const Bounds& b, unsigned bits) {
  return {FloorShift(a.lo * b.lo, bits), CeilShift(a.hi * b.hi, bits)};
}

Bounds Coarsened(const Bounds& a, unsigned from_bits, unsigned to_bits) {
  return {FloorShift(a.lo, from_bits - to_bits), CeilShift(a.hi, from_bits - to_bits)};
}

Bounds Ratio(const Integer& a, const Integer& b, unsigned bits) {
  const Integer scaled = a << bits;
  return {FloorDiv(scaled, b), CeilDiv(scaled, b)};
}

Bounds Log(const Integer& a, const Integer& b, unsigned bits) {
  // a / b = 2^e p / q with p / q in [3/4, 3/2], so that z = (p - q) / (p + q) is in [-1/7, 1/5].
  int64_t e = static_cast<int64_t>(a.bits()) - static_cast<int64_t>(b.bits());
  Integer p = e < 0 ? a << static_cast<unsigned>(-e) : a;
  Integer q = e > 0 ? b << static_cast<unsigned>(e) : b;
  if ((p << 2) < q * Integer(3)) {
    --e;
    p = p << 1;
  } else if ((p << 1) > q * Integer(3)) {
    ++e;
    q = q << 1;
  }
  const bool below_one = p < q;
  Bounds log = ScaledBy(ArTanh(below_one ? q - p : p - q, p + q, bits), below_one ? -2 : 2);
  if (e != 0) log = log + ScaledBy(ArTanh(1, 3, bits), Integer(2 * e));  // ln 2 = 2 artanh(1/3)
  return log;
}

Bounds ExpOfMinus(const Bounds& x, unsigned bits) {
  const Integer least = x.lo.negative() ? Integer(0) : x.lo;
  const Integer ulp(1);
  // e^-x < 2^-x < 2^-(bits + 2)
  if (least > (Integer(int64_t{bits} + 2) << bits)) return {Integer(0), ulp};

  // e^-least = (e^-z)^(2^halvings) with z <= 2^-10. Squaring doubles the relative error, so the
  // guard bits outnumber the halvings; `least` has at most log2(bits + 3) bits before the point.
  const unsigned halvings = 10 + (least.bits() > bits ? least.bits() - bits : 0);
  const unsigned inner = bits + halvings + 16;
  const Integer z = least << 16;  // in `inner` bits, exactly
  const Integer one = Integer::PowerOfTwo(inner);
  Bounds term{one, one};
  Bounds sum{one, one};
  for (uint64_t i = 1; term.hi > ulp; ++i) {
    term.lo = FloorDivSmall(FloorShift(term.lo * z, inner), i);
    term.hi = CeilDivSmall(CeilShift(term.hi * z, inner), i);
    sum = i % 2 == 1 ? sum - term : sum + term;
  }
  // The terms shrink and alternate: what is left is below the last one, which is at most one unit.
  sum.lo = sum.lo - ulp;
  sum.hi = sum.hi + ulp;
  for (unsigned i = 0; i < halvings; ++i) sum = Product(sum, sum, inner);
  Bounds result = Coarsened(sum, inner, bits);

  // From e^-least to all of x: e^-(least + d) >= e^-least (1 - d).
  const Integer width = x.hi - least;
  result.lo = result.lo - CeilShift(result.lo * width, bits);
  if (result.lo.negative()) result.lo = Integer(0);
  return result;
}

Bounds StirlingRest(const Integer& n, unsigned bits) {
  // The coefficients are below 2^29 and magnify rounding by as much.
  constexpr unsigned kGuard = 32;
  const unsigned inner = bits + kGuard;
  const Bounds inverse = Ratio(Integer(1), n, inner);
  const Bounds square = Product(inverse, inverse, inner);
  Bounds power = inverse;
  Bounds sum{Integer(0), Integer(0)};
  // The rest of an enveloping series is smaller than its first term, wherever it is cut.
  Integer rest;
  const Integer negligible = Integer::PowerOfTwo(kGuard - 8);
  for (size_t i = 0;; ++i) {
    if (i == kStirling.size()) {
      rest = power.hi << kNextStirlingLog2;
      break;
    }
    const Integer numerator = Integer::FromUnsigned(kStirling[i].numerator);
    const Bounds term{FloorDivSmall(power.lo * numerator, kStirling[i].denominator),
                      CeilDivSmall(power.hi * numerator, kStirling[i].denominator)};
    rest = term.hi;
    if (term.hi <= negligible) break;
    sum = i % 2 == 0 ? sum + term : sum - term;
    power = Product(power, square, inner);
  }
  return Coarsened({sum.lo - rest, sum.hi + rest}, inner, bits);
}

Integer StirlingFloor(unsigned bits) {
  const unsigned log2 = (bits + kNextStirlingLog2) / kNextStirlingPower + 1;
  return Integer::PowerOfTwo(log2);
}

}  // namespace muster::exact
