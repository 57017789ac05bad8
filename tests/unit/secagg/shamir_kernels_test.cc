#include "aggregation/secagg/shamir_kernels.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "aggregation/secagg/shamir_field.h"
#include "proto/core/random.h"
#include "tests/unit/secagg/bytes.h"

namespace muster::secagg {
namespace {

// Long multiplication and long division: the definition, bit by bit.
template <typename Field>
uint16_t Product(uint16_t a, uint16_t b) {
  uint64_t product = 0;
  for (unsigned bit = 0; bit < Field::kBits; ++bit) {
    if ((b >> bit & 1) != 0) product ^= static_cast<uint64_t>(a) << bit;
  }
  for (unsigned bit = 2 * Field::kBits; bit-- > Field::kBits;) {
    if ((product >> bit & 1) != 0) {
      product ^= static_cast<uint64_t>(Field::kPolynomial) << (bit - Field::kBits);
    }
  }
  return static_cast<uint16_t>(product);
}

using BlockBytes = std::array<uint8_t, kShareBytes>;

template <typename Field>
uint16_t Element(std::span<const uint8_t> block, size_t index) {
  if (Field::kBits == 8) return block[index];
  return static_cast<uint16_t>(block[2 * index] | block[2 * index + 1] << 8);
}

template <typename Field>
void SetElement(std::span<uint8_t> block, size_t index, uint16_t value) {
  if (Field::kBits == 8) {
    block[index] = static_cast<uint8_t>(value);
  } else {
    block[2 * index] = static_cast<uint8_t>(value);
    block[2 * index + 1] = static_cast<uint8_t>(value >> 8);
  }
}

// block times factor, element by element.
template <typename Field>
BlockBytes Scaled(std::span<const uint8_t> block, uint16_t factor) {
  BlockBytes out{};
  for (size_t i = 0; i < 8 * kShareBytes / Field::kBits; ++i) {
    SetElement<Field>(out, i, Product<Field>(Element<Field>(block, i), factor));
  }
  return out;
}

void Add(BlockBytes& sum, std::span<const uint8_t> other) {
  for (size_t i = 0; i < sum.size(); ++i) sum[i] ^= other[i];
}

template <typename Field>
BlockBytes Evaluated(std::span<const uint8_t> coefficients, uint16_t x) {
  BlockBytes sum{};
  uint16_t power = 1;
  for (size_t at = 0; at < coefficients.size(); at += kShareBytes) {
    Add(sum, Scaled<Field>(coefficients.subspan(at, kShareBytes), power));
    power = Product<Field>(power, x);
  }
  return sum;
}

TEST(Fields, ProductsOfFips197) {
  EXPECT_EQ(Times<Gf8>(0x57, 0x83), 0xc1);  // section 4.2
  EXPECT_EQ(Times<Gf8>(0x57, 0x13), 0xfe);  // section 4.2.1
}

TEST(Fields, TimesIsTheDefinition) {
  for (uint32_t a = 0; a < 256; ++a) {
    for (uint32_t b = 0; b < 256; ++b) {
      const auto x = static_cast<uint16_t>(a), y = static_cast<uint16_t>(b);
      ASSERT_EQ(Times<Gf8>(x, y), Product<Gf8>(x, y));
    }
  }
  SeededRandom random(1);
  for (int i = 0; i < 100'000; ++i) {
    const auto x = static_cast<uint16_t>(random.Next64());
    const auto y = static_cast<uint16_t>(random.Next64());
    ASSERT_EQ(Times<Gf16>(x, y), Product<Gf16>(x, y));
  }
}

// Then the polynomial is irreducible: every element but zero is a power of one, so has an inverse.
template <typename Field>
void ExpectGeneratorReachesAll() {
  std::vector<bool> seen(Logarithms<Field>::kOrder + 1, false);
  uint16_t value = 1;
  for (uint32_t i = 0; i < Logarithms<Field>::kOrder; ++i) {
    ASSERT_NE(value, 0);
    ASSERT_FALSE(seen[value]) << i;
    seen[value] = true;
    ASSERT_EQ(Logarithms<Field>::Get().Of(value), i);
    ASSERT_EQ(Logarithms<Field>::Get().Power(i), value);
    value = Product<Field>(value, Field::kGenerator);
  }
  EXPECT_EQ(value, 1);
}

TEST(Fields, ThePowersOfTheGeneratorAreAllElementsButZero) {
  ExpectGeneratorReachesAll<Gf8>();
  ExpectGeneratorReachesAll<Gf16>();
}

std::vector<uint8_t> RandomBytes(size_t size, uint64_t seed) {
  SeededRandom random(seed);
  std::vector<uint8_t> bytes(size);
  random.Fill(bytes);
  return bytes;
}

class KernelTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !HasShuffledShamir()) GTEST_SKIP() << "this processor has no SSSE3";
  }
  ShamirKernel kernel() const { return GetParam() ? ShuffledShamir() : PortableShamir(); }
};

TEST_P(KernelTest, EvaluatesPolynomialsOverGf8AtEveryX) {
  for (const size_t count : {1u, 2u, 3u, 9u}) {
    const std::vector<uint8_t> coefficients = RandomBytes(count * kShareBytes, count);
    for (uint32_t x = 0; x < 256; ++x) {
      BlockBytes out;
      kernel().narrow(coefficients, static_cast<uint16_t>(x), out);
      ASSERT_EQ(Hex(out), Hex(Evaluated<Gf8>(coefficients, static_cast<uint16_t>(x)))) << x;
    }
  }
}

TEST_P(KernelTest, EvaluatesPolynomialsOverGf16) {
  SeededRandom random(6);
  for (const size_t count : {1u, 2u, 3u, 9u}) {
    const std::vector<uint8_t> coefficients = RandomBytes(count * kShareBytes, count);
    for (int i = 0; i < 500; ++i) {
      // Every bit alone, then any x.
      const auto x = static_cast<uint16_t>(i < 16 ? 1u << i : random.Next64());
      BlockBytes out;
      kernel().wide(coefficients, x, out);
      ASSERT_EQ(Hex(out), Hex(Evaluated<Gf16>(coefficients, x))) << x;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Portable, KernelTest, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Shuffled, KernelTest, testing::Values(true));

template <typename Field, typename Combine>
void ExpectCombines(const Combine& combine) {
  SeededRandom random(7);
  for (const size_t count : {1u, 2u, 5u, 40u}) {
    const std::vector<uint8_t> bytes = RandomBytes(count * kShareBytes, count);
    std::vector<ShareView> shares;
    std::vector<uint16_t> coefficients;
    BlockBytes expected{};
    for (size_t j = 0; j < count; ++j) {
      shares.push_back(ShareView(&bytes[j * kShareBytes], kShareBytes));
      coefficients.push_back(static_cast<uint16_t>(random.Below(1u << Field::kBits)));
      Add(expected, Scaled<Field>(shares.back(), coefficients.back()));
    }
    BlockBytes out;
    combine(shares, coefficients, out);
    EXPECT_EQ(Hex(out), Hex(expected)) << count;
  }
}

TEST(Combine, IsTheSumOfProductsInBothFields) {
  ExpectCombines<Gf8>(CombineNarrow);
  ExpectCombines<Gf16>(CombineWide);
}

}  // namespace
}  // namespace muster::secagg
