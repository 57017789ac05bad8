// The two fields of Shamir's sharing, as polynomials over GF(2) modulo an irreducible one.
//
// What is here branches on values and looks them up: it is for public values alone, such as
// holders' x coordinates and Lagrange coefficients. Secrets go through shamir_kernels.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace muster::secagg {

struct Gf8 {  // the field of AES (FIPS 197, section 4)
  static constexpr unsigned kBits = 8;
  static constexpr uint32_t kPolynomial = 0x11B;
  static constexpr uint16_t kGenerator = 3;  // of the multiplicative group
};
struct Gf16 {  // x^16 + x^12 + x^3 + x + 1, primitive
  static constexpr unsigned kBits = 16;
  static constexpr uint32_t kPolynomial = 0x1100B;
  static constexpr uint16_t kGenerator = 2;
};

template <typename Field>
constexpr uint16_t TimesX(uint16_t value) {
  const uint32_t shifted = static_cast<uint32_t>(value) << 1;
  return static_cast<uint16_t>(shifted >> Field::kBits != 0 ? shifted ^ Field::kPolynomial
                                                            : shifted);
}

template <typename Field>
constexpr uint16_t Times(uint16_t a, uint16_t b) {
  uint16_t product = 0;
  for (unsigned bit = Field::kBits; bit-- > 0;) {
    product = TimesX<Field>(product);
    if ((b >> bit & 1) != 0) product = static_cast<uint16_t>(product ^ a);
  }
  return product;
}

// Logarithms to the generator, so that long products become sums.
template <typename Field>
class Logarithms {
 public:
  static constexpr uint32_t kOrder = (1u << Field::kBits) - 1;  // of the multiplicative group

  static const Logarithms& Get() {
    static const Logarithms& tables = *new Logarithms();
    return tables;
  }
  uint16_t Of(uint16_t value) const { return log_[value]; }  // of 0: 0
  uint16_t Power(uint64_t exponent) const { return power_[exponent % kOrder]; }

 private:
  Logarithms() : log_(kOrder + 1), power_(kOrder) {
    uint16_t value = 1;
    for (uint32_t exponent = 0; exponent < kOrder; ++exponent) {
      power_[exponent] = value;
      log_[value] = static_cast<uint16_t>(exponent);
      value = Times<Field>(value, Field::kGenerator);
    }
  }

  std::vector<uint16_t> log_;
  std::vector<uint16_t> power_;
};

}  // namespace muster::secagg
