#include <gtest/gtest.h>

#include <string_view>

#include "aggregation/privacy/exact/bounds.h"
#include "aggregation/privacy/exact/shape.h"

namespace muster::exact {
namespace {

Integer TenTo(unsigned exponent) {
  Integer power(1);
  for (unsigned i = 0; i < exponent; ++i) power = power * Integer(10);
  return power;
}

// Whether `bounds` enclose the decimal, known to its last digit, and are at most `width` apart.
void ExpectEncloses(const Bounds& bounds, unsigned bits, std::string_view decimal, int64_t width) {
  Integer digits(0);
  unsigned places = 0;
  bool point = false;
  for (const char c : decimal) {
    if (c == '.') point = true;
    if (c < '0' || c > '9') continue;
    digits = digits * Integer(10) + Integer(c - '0');
    places += point ? 1 : 0;
  }
  if (decimal.front() == '-') digits = -digits;
  const Integer unit = TenTo(places);
  EXPECT_LE(bounds.lo * unit, (digits + Integer(1)) << bits) << decimal;
  EXPECT_GE(bounds.hi * unit, (digits - Integer(1)) << bits) << decimal;
  EXPECT_LE(bounds.hi - bounds.lo, Integer(width)) << decimal;
  EXPECT_LE(bounds.lo, bounds.hi);
}

TEST(ExactInteger, RoundsDownAndUpOnBothSidesOfZero) {
  EXPECT_EQ(FloorShift(Integer(7), 2), Integer(1));
  EXPECT_EQ(FloorShift(Integer(-7), 2), Integer(-2));
  EXPECT_EQ(FloorShift(Integer(-8), 2), Integer(-2));
  EXPECT_EQ(CeilShift(Integer(7), 2), Integer(2));
  EXPECT_EQ(CeilShift(Integer(-7), 2), Integer(-1));
  EXPECT_EQ(FloorDiv(Integer(7), Integer(3)), Integer(2));
  EXPECT_EQ(FloorDiv(Integer(-7), Integer(3)), Integer(-3));
  EXPECT_EQ(FloorDiv(Integer(-6), Integer(3)), Integer(-2));
  EXPECT_EQ(CeilDiv(Integer(7), Integer(3)), Integer(3));
  EXPECT_EQ(CeilDiv(Integer(-7), Integer(3)), Integer(-2));
  EXPECT_EQ(FloorDivSmall(Integer(7), 3), Integer(2));
  EXPECT_EQ(CeilDivSmall(Integer(7), 3), Integer(3));
  EXPECT_EQ(CeilDivSmall(Integer(6), 3), Integer(2));
}

TEST(ExactInteger, HoldsEverySixtyFourBitNumber) {
  EXPECT_EQ(Integer(INT64_MIN), -Integer::PowerOfTwo(63));
  EXPECT_EQ(Integer::FromUnsigned(UINT64_MAX) + Integer(1), Integer::PowerOfTwo(64));
  EXPECT_EQ(Integer::FromUnsigned(UINT64_MAX).ToUnsigned(), UINT64_MAX);
}

// The reference values below are of mpmath 1.4 with 60 digits.

TEST(ExactBounds, EncloseLogarithms) {
  constexpr unsigned kBits = 150;
  const Integer tera = TenTo(12);
  Integer three_to_40(1);
  for (int i = 0; i < 40; ++i) three_to_40 = three_to_40 * Integer(3);
  ExpectEncloses(Log(2, 1, kBits), kBits, "0.69314718055994530941723212145817656807550013436026",
                 400);
  ExpectEncloses(Log(1, 3, kBits), kBits, "-1.0986122886681096913952452369225257046474905578227",
                 1000);
  ExpectEncloses(Log(1000001, 1000000, kBits), kBits,
                 "0.00000099999950000033333308333353333316666680952368452392", 100);
  ExpectEncloses(Log(tera, tera + Integer(7), kBits), kBits,
                 "-0.0000000000069999999999755000000001143333333327330833333366947", 100);
  ExpectEncloses(Log(three_to_40, 7, kBits), kBits,
                 "41.998581397669074350704456733457848456262537583328", 20000);
}

TEST(ExactBounds, ALogarithmOfOneIsZero) {
  const Bounds log = Log(12345, 12345, 100);
  EXPECT_LE(log.lo, Integer(0));
  EXPECT_GE(log.hi, Integer(0));
  EXPECT_LE(log.hi - log.lo, Integer(4));
}

TEST(ExactBounds, EncloseExponentials) {
  constexpr unsigned kBits = 150;
  const auto exp = [](int64_t a, int64_t b) { return ExpOfMinus(Ratio(a, b, kBits), kBits); };
  ExpectEncloses(exp(0, 1), kBits, "1.0", 2);
  ExpectEncloses(exp(1, 1000), kBits, "0.99900049983337499166805535716765597470235590236008", 4);
  ExpectEncloses(exp(1, 1), kBits, "0.36787944117144232159552377016146086744581113103177", 4);
  ExpectEncloses(exp(7, 2), kBits, "0.030197383422318500739786292363619845071660532247657", 4);
  ExpectEncloses(exp(40, 1), kBits,
                 "0.0000000000000000042483542552915889953292347828586580178795655541664", 4);
  ExpectEncloses(exp(60, 1), kBits,
                 "0.0000000000000000000000000087565107626965203384887328007391660365571074817818",
                 4);
}

TEST(ExactBounds, AnExponentialBelowAUnitIsBetweenZeroAndIt) {
  const Bounds tiny = ExpOfMinus(Ratio(1'000'000, 1, 64), 64);
  EXPECT_EQ(tiny.lo, Integer(0));
  EXPECT_EQ(tiny.hi, Integer(1));
}

TEST(ExactBounds, AnExponentialOfBoundsEnclosesBothEnds) {
  constexpr unsigned kBits = 80;
  const Bounds wide{Integer(1) << kBits, (Integer(1) << kBits) + (Integer(1) << 60)};
  const Bounds exp = ExpOfMinus(wide, kBits);
  EXPECT_LE(exp.lo, ExpOfMinus({wide.hi, wide.hi}, kBits).lo);
  EXPECT_GE(exp.hi, ExpOfMinus({wide.lo, wide.lo}, kBits).lo);
}

TEST(ExactBounds, EncloseTheRestOfStirlingsFormula) {
  constexpr unsigned kBits = 140;
  ASSERT_LE(StirlingFloor(kBits), Integer(64));
  ExpectEncloses(StirlingRest(64, kBits), kBits,
                 "0.001302072737691049536271144579406335881240201561587", 64);
  ExpectEncloses(StirlingRest(1000, kBits), kBits,
                 "0.000083333330555556349205753969095717178198588419037975", 64);
  ExpectEncloses(StirlingRest(TenTo(15), kBits), kBits,
                 "0.000000000000000083333333333333333333333333333330555555555555555556", 64);
}

TEST(PoissonShape, EnclosesKnownRatiosOfProbabilities) {
  constexpr unsigned kBits = 100;
  const auto expect = [](double rate, int64_t x, std::string_view decimal) {
    ExpectEncloses(PoissonShape(rate).Density(x, kBits), kBits, decimal, 4);
  };
  expect(33.75, -20, "0.0003792537006724091644580399856911131246527");
  expect(5e9, 123456, "0.217808684632214609313953754945345127344306068");
  expect(5e9, -300000, "0.0001233912934490769370191760685685622947419");
  expect(0x1p100, int64_t{1} << 52, "0.0003354626279025144210605006896217582588294");
  expect(1000, -999, "0.0000000000000000000000000000000000000000000000000000000000000000000");
  expect(40, 2000, "0.0000000000000000000000000000000000000000000000000000000000000000000");
}

// By definition: the product of rate / i or i / rate from the mode on.
Bounds ByProduct(int64_t rate_numerator, int64_t rate_denominator, int64_t x, unsigned bits) {
  const int64_t mode = rate_numerator / rate_denominator;
  Integer a(1), b(1);
  for (int64_t i = mode + 1; i <= mode + x; ++i) {
    a = a * Integer(rate_numerator);
    b = b * Integer(rate_denominator * i);
  }
  for (int64_t i = mode; i > mode + x; --i) {
    a = a * Integer(rate_denominator * i);
    b = b * Integer(rate_numerator);
  }
  return Ratio(a, b, bits);
}

TEST(PoissonShape, EnclosesTheProductThatDefinesItAtEveryPrecision) {
  struct Rate {
    int64_t numerator, denominator;
  };
  for (const Rate rate : {Rate{1, 1024},
                          {1, 1},
                          {7, 4},
                          {31, 1},
                          {33, 1},
                          {127, 2},
                          {801, 8},
                          {5001, 1},
                          {400'001, 4}}) {
    const PoissonShape shape(static_cast<double>(rate.numerator) /
                             static_cast<double>(rate.denominator));
    for (const int64_t x : {-300, -64, -33, -32, -31, -7, -1, 0, 1, 2, 31, 32, 40, 200, 1000}) {
      if (rate.numerator / rate.denominator + x < 0) continue;
      for (const unsigned bits : {20u, 63u, 96u, 192u, 300u}) {
        const Bounds density = shape.Density(x, bits);
        const Bounds exact = ByProduct(rate.numerator, rate.denominator, x, bits + 40);
        EXPECT_LE(density.lo << 40, exact.hi) << rate.numerator << " " << x << " " << bits;
        EXPECT_GE(density.hi << 40, exact.lo) << rate.numerator << " " << x << " " << bits;
        EXPECT_LE(density.hi - density.lo, Integer(2)) << rate.numerator << " " << x << " " << bits;
      }
    }
  }
}

TEST(PoissonShape, HasNothingBelowZero) {
  const Bounds density = PoissonShape(3.5).Density(-4, 100);
  EXPECT_TRUE(density.lo.zero());
  EXPECT_TRUE(density.hi.zero());
}

TEST(GaussianShape, IsTheExponentialOfAnExactRational) {
  constexpr unsigned kBits = 100;
  // x = 3, sigma = 1.5: e^-2; x = 2^40, sigma = 2^40 / 2: e^-2; x = 7, sigma = 0.7: e^-50 almost.
  const std::string_view e_to_minus_2 = "0.13533528323661269189399949497248440340763";
  ExpectEncloses(GaussianShape(1.5).Density(3, kBits), kBits, e_to_minus_2, 4);
  ExpectEncloses(GaussianShape(0x1p39).Density(-(int64_t{1} << 40), kBits), kBits, e_to_minus_2, 4);
  const Bounds far = GaussianShape(0.5).Density(1 << 30, kBits);
  EXPECT_EQ(far.lo, Integer(0));
  EXPECT_EQ(far.hi, Integer(1));
}

}  // namespace
}  // namespace muster::exact
