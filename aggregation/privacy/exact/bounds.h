// Interval arithmetic in fixed point: two whole numbers that enclose a real one. Every operation
// rounds the lower end down and the upper end up, and every series adds what it leaves out to its
// ends, so the enclosure holds for certain; more bits make it narrower. No floating point.
#pragma once

#include "aggregation/privacy/exact/integer.h"

namespace muster::exact {

// lo <= x 2^bits <= hi, where the number of bits goes along as an argument.
struct Bounds {
  Integer lo, hi;
};

Bounds operator+(const Bounds& a, const Bounds& b);
Bounds operator-(const Bounds& a, const Bounds& b);
Bounds ScaledBy(const Bounds& a, const Integer& factor);  // of any sign
// Products and powers of numbers that are not negative.
Bounds Product(const Bounds& a, const Bounds& b, unsigned bits);
// Fewer bits.
Bounds Coarsened(const Bounds& a, unsigned from_bits, unsigned to_bits);

Bounds Ratio(const Integer& a, const Integer& b, unsigned bits);  // a / b, b > 0
Bounds Log(const Integer& a, const Integer& b, unsigned bits);    // ln(a / b), a > 0, b > 0
// e^-x for x >= 0. `x` may reach below 0, where only its rounding can have taken it.
Bounds ExpOfMinus(const Bounds& x, unsigned bits);
// ln n! - ((n + 1/2) ln n - n + ln(2 pi) / 2), the rest of Stirling's formula, for n >=
// StirlingFloor(bits).
Bounds StirlingRest(const Integer& n, unsigned bits);
Integer StirlingFloor(unsigned bits);  // at least 2

}  // namespace muster::exact
