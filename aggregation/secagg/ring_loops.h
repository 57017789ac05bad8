// The inner loops over ring elements: little endian, of 16, 32 or 64 bits, at any address.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace muster::secagg {

// to[i] += from[i] in Z_2^bits. Equal sizes, whole elements, no overlap.
void AddElements(uint32_t bits, std::span<uint8_t> to, std::span<const uint8_t> from);

// to[i] += the sum of the four parts' elements i, or -= it. Four at a time, because the vector's
// own loads and stores are what a single addition costs.
using FourParts = std::array<const uint8_t*, 4>;  // each of to.size() bytes, no overlap with `to`
void AddFour(uint32_t bits, std::span<uint8_t> to, const FourParts& parts, bool subtract);

int64_t LoadElement(uint32_t bits, const uint8_t* at);         // sign-extended
void StoreElement(uint32_t bits, int64_t value, uint8_t* at);  // its lowest bits

// out[i] = floor(values[i] * factor + u[i]) within [-bound, bound], with u[i] = random[i] / 2^32:
// values[i] * factor on average. Sizes are equal (out: of elements), values finite, factor >= 0,
// 0 <= bound < 2^(bits - 1), and an integer.
void RoundElements(uint32_t bits, std::span<const float> values, double factor, double bound,
                   std::span<const uint32_t> random, std::span<uint8_t> out);

double SumOfSquares(std::span<const float> values);

}  // namespace muster::secagg
