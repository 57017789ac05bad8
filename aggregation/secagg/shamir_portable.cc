#include <bit>
#include <cassert>
#include <cstring>
#include <type_traits>

#include "aggregation/secagg/shamir_field.h"
#include "aggregation/secagg/shamir_kernels.h"

namespace muster::secagg {
namespace {

static_assert(std::endian::native == std::endian::little, "words of shares are little-endian");

// Half a block in one vector of the compiler's: 16 bytes or 8 words, on whatever the processor has.
struct Narrow {
  using Field = Gf8;
  using Lanes = uint8_t __attribute__((vector_size(16)));
  using SignedLanes = int8_t __attribute__((vector_size(16)));
};
struct Wide {
  using Field = Gf16;
  using Lanes = uint16_t __attribute__((vector_size(16)));
  using SignedLanes = int16_t __attribute__((vector_size(16)));
};

template <typename Shape>
struct Block {
  typename Shape::Lanes low{}, high{};

  static Block Load(const uint8_t* bytes) {
    Block block;
    std::memcpy(&block.low, bytes, 16);
    std::memcpy(&block.high, bytes + 16, 16);
    return block;
  }
  void Store(uint8_t* bytes) const {
    std::memcpy(bytes, &low, 16);
    std::memcpy(bytes + 16, &high, 16);
  }
  void Add(const Block& other) {
    low ^= other.low;
    high ^= other.high;
  }
};

// Times the polynomial "x": a shift, and the modulus where a bit left the element. The comparison
// gives all ones or zeros in each lane.
template <typename Shape>
typename Shape::Lanes LanesTimesX(typename Shape::Lanes lanes) {
  using Lanes = typename Shape::Lanes;
  using SignedLanes = typename Shape::SignedLanes;
  using Element = std::remove_reference_t<decltype(lanes[0])>;
  constexpr auto kModulus = static_cast<Element>(Shape::Field::kPolynomial);
  const SignedLanes signed_lanes = (SignedLanes)lanes;
  const Lanes overflown = (Lanes)(signed_lanes < SignedLanes{});
  return (lanes + lanes) ^ (overflown & (Lanes{} + kModulus));
}

template <typename Shape>
void Double(Block<Shape>& block) {
  block.low = LanesTimesX<Shape>(block.low);
  block.high = LanesTimesX<Shape>(block.high);
}

// Horner's rule over the coefficients, and within each product over the bits of x.
template <typename Shape>
void Evaluate(std::span<const uint8_t> coefficients, uint16_t x,
              std::span<uint8_t, kShareBytes> out) {
  assert(!coefficients.empty() && coefficients.size() % kShareBytes == 0);
  const auto bits = static_cast<unsigned>(std::bit_width(x));
  size_t at = coefficients.size() - kShareBytes;
  Block<Shape> sum = Block<Shape>::Load(&coefficients[at]);
  while (at > 0) {
    at -= kShareBytes;
    Block<Shape> product;
    for (unsigned bit = bits; bit-- > 0;) {
      Double(product);
      if ((x >> bit & 1) != 0) product.Add(sum);
    }
    product.Add(Block<Shape>::Load(&coefficients[at]));
    sum = product;
  }
  sum.Store(out.data());
}

// Horner's rule over the bits of all coefficients at once: only the running sum is ever doubled.
template <typename Shape>
void Combine(std::span<const ShareView> shares, std::span<const uint16_t> coefficients,
             std::span<uint8_t, kSecretBytes> out) {
  using Lanes = typename Shape::Lanes;
  using Element = std::remove_reference_t<decltype(Lanes{}[0])>;
  assert(shares.size() == coefficients.size());
  Block<Shape> sum;
  for (unsigned bit = Shape::Field::kBits; bit-- > 0;) {
    Double(sum);
    for (size_t j = 0; j < shares.size(); ++j) {
      Block<Shape> share = Block<Shape>::Load(shares[j].data());
      const auto chosen = static_cast<Element>(-(coefficients[j] >> bit & 1));
      share.low &= Lanes{} + chosen;
      share.high &= Lanes{} + chosen;
      sum.Add(share);
    }
  }
  sum.Store(out.data());
}

}  // namespace

ShamirKernel PortableShamir() { return {.narrow = Evaluate<Narrow>, .wide = Evaluate<Wide>}; }

void CombineNarrow(std::span<const ShareView> shares, std::span<const uint16_t> coefficients,
                   std::span<uint8_t, kSecretBytes> out) {
  Combine<Narrow>(shares, coefficients, out);
}

void CombineWide(std::span<const ShareView> shares, std::span<const uint16_t> coefficients,
                 std::span<uint8_t, kSecretBytes> out) {
  Combine<Wide>(shares, coefficients, out);
}

}  // namespace muster::secagg
