// Shamir's arithmetic on secrets, 32 bytes at a time: 32 elements of GF(2^8), or 16 little-endian
// elements of GF(2^16).
//
// Constant time by construction: which instructions run and which addresses they touch depends on
// x coordinates, coefficients and counts, which are public, and never on the bytes of a secret or
// a share. Multiplying by a public value is shifts and masks on all elements at once, or shuffles
// within registers.
#pragma once

#include <cstdint>
#include <span>

#include "aggregation/secagg/keys.h"
#include "aggregation/secagg/shamir.h"

namespace muster::secagg {

// f(x) for the polynomial f over blocks whose coefficients are `coefficients`, [count][32], from
// degree 0 up; count at least 1.
using EvaluatePolynomial = void (*)(std::span<const uint8_t> coefficients, uint16_t x,
                                    std::span<uint8_t, kShareBytes> out);
struct ShamirKernel {
  EvaluatePolynomial narrow;  // GF(2^8); x below 256
  EvaluatePolynomial wide;    // GF(2^16)
};

ShamirKernel PortableShamir();
// Multiplication tables of x in registers (SSSE3). Only where this processor has them.
bool HasShuffledShamir();
ShamirKernel ShuffledShamir();

// The sum of coefficients[j] * shares[j]; as many of both.
using ShareView = std::span<const uint8_t, kShareBytes>;
void CombineNarrow(std::span<const ShareView> shares, std::span<const uint16_t> coefficients,
                   std::span<uint8_t, kSecretBytes> out);
void CombineWide(std::span<const ShareView> shares, std::span<const uint16_t> coefficients,
                 std::span<uint8_t, kSecretBytes> out);

}  // namespace muster::secagg
