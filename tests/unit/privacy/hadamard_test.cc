#include "aggregation/privacy/hadamard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "proto/core/random.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

std::vector<float> RandomVector(size_t size, uint64_t seed) {
  SeededRandom random(seed);
  std::vector<float> values(size);
  for (float& v : values) v = static_cast<float>(random.Unit() * 2 - 1);
  return values;
}

double Norm(const std::vector<float>& values) {
  double squares = 0;
  for (const float v : values) squares += static_cast<double>(v) * v;
  return std::sqrt(squares);
}

const Digest kSeed = Sha256("seed");

class HadamardOfSize : public testing::TestWithParam<size_t> {};

TEST_P(HadamardOfSize, KeepsTheNorm) {
  std::vector<float> values = RandomVector(GetParam(), 1);
  const double before = Norm(values);
  RandomizedHadamard(kSeed, values);
  EXPECT_NEAR(Norm(values) / before, 1, 1e-5);
}

TEST_P(HadamardOfSize, IsUndoneByItsInverse) {
  const std::vector<float> original = RandomVector(GetParam(), 2);
  std::vector<float> values = original;
  RandomizedHadamard(kSeed, values);
  InverseRandomizedHadamard(kSeed, values);
  for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], original[i], 1e-5) << i;
}

TEST_P(HadamardOfSize, SpreadsOneCoordinateEvenlyOverAll) {
  const size_t size = GetParam();
  std::vector<float> values(size, 0.0f);
  values[size / 3] = 1;
  RandomizedHadamard(kSeed, values);
  const float each = 1 / std::sqrt(static_cast<float>(size));
  for (const float v : values) ASSERT_FLOAT_EQ(std::fabs(v), each);
}

INSTANTIATE_TEST_SUITE_P(Sizes, HadamardOfSize,
                         testing::Values(1, 2, 4, 8, 16, 32, 1 << 10, 1 << 13, 1 << 14, 1 << 15,
                                         1 << 16, 1 << 19));

// H with entries (-1)^(number of ones in i & j) (Sylvester 1867), and the signs as they act on unit
// vectors.
TEST(Hadamard, IsTheWalshHadamardMatrixTimesSigns) {
  for (const size_t size : {2u, 8u, 64u, 256u}) {
    std::vector<float> signs(size);
    for (size_t j = 0; j < size; ++j) {
      std::vector<float> unit(size, 0.0f);
      unit[j] = 1;
      RandomizedHadamard(kSeed, unit);
      signs[j] = unit[0] < 0 ? -1.0f : 1.0f;
    }
    const std::vector<float> values = RandomVector(size, 3);
    std::vector<float> transformed = values;
    RandomizedHadamard(kSeed, transformed);
    for (size_t i = 0; i < size; ++i) {
      double sum = 0;
      for (size_t j = 0; j < size; ++j) {
        sum += (std::popcount(i & j) % 2 == 0 ? 1 : -1) * signs[j] * values[j];
      }
      EXPECT_NEAR(transformed[i], sum / std::sqrt(static_cast<double>(size)), 1e-5);
    }
  }
}

// RFC 8439 keystream of the key SHA-256("muster hadamard signs 1" || seed), by the openssl program:
//   openssl enc -chacha20 -K KEY -iv 0 over zeros.
TEST(Hadamard, SignsAreTheBitsOfTheDocumentedKeystream) {
  constexpr uint8_t kKeystream[] = {0x29, 0x9c, 0x0b, 0x1a, 0xa0, 0x50, 0xcd, 0xe0};
  for (size_t j = 0; j < 64; ++j) {
    std::vector<float> unit(64, 0.0f);
    unit[j] = 1;
    RandomizedHadamard(kSeed, unit);
    EXPECT_EQ(unit[0] < 0, (kKeystream[j / 8] >> (j % 8) & 1) != 0) << j;
  }
}

TEST(Hadamard, SignsGoOnAfterThirtyTwoThousandValues) {
  constexpr size_t kSize = 1 << 17;
  std::vector<float> ones(kSize, 1.0f);
  InverseRandomizedHadamard(kSeed, ones);
  // All ones become one impulse at 0; a second one lies beyond the first chunk of signs.
  std::vector<float> impulse(kSize, 0.0f);
  impulse[0] = 1;
  std::vector<float> flat = impulse;
  InverseRandomizedHadamard(kSeed, flat);
  int64_t minus = 0, differs = 0;
  for (size_t i = 0; i < kSize; ++i) {
    minus += flat[i] < 0 ? 1 : 0;
    differs += (flat[i] < 0) != (flat[i % 32768] < 0) ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(minus), kSize / 2.0, 5 * std::sqrt(kSize / 4.0));
  EXPECT_GT(differs, static_cast<int64_t>(kSize / 4));
}

TEST(Hadamard, FlattensAnySparseVector) {
  constexpr size_t kSize = 1 << 16;
  std::vector<float> values(kSize, 0.0f);
  for (size_t i = 0; i < 50; ++i) values[i * 17] = 1;
  const double norm = Norm(values);
  RandomizedHadamard(kSeed, values);
  const float largest = std::fabs(*std::max_element(
      values.begin(), values.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
  // Sub-Gaussian coordinates of deviation norm / sqrt(d).
  EXPECT_LT(largest, norm / std::sqrt(double{kSize}) * 6);
}

TEST(Hadamard, AnotherSeedIsAnotherRotation) {
  std::vector<float> a = RandomVector(256, 4), b = a;
  RandomizedHadamard(kSeed, a);
  RandomizedHadamard(Sha256("another seed"), b);
  EXPECT_NE(a, b);
}

TEST(HadamardDeathTest, RefusesASizeThatIsNoPowerOfTwo) {
  std::vector<float> three(3);
  EXPECT_DEATH(RandomizedHadamard(kSeed, three), "");
  EXPECT_DEATH(RandomizedHadamard(kSeed, {}), "");
}

}  // namespace
}  // namespace muster
