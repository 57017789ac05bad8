#include "aggregation/secagg/ring_loops.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

// Each loop is also compiled for AVX2 and chosen when the program is loaded; the choice changes no
// result. Sanitizers and ifuncs do not mix: the resolver would run before the sanitizer's runtime
// is up.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MUSTER_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define MUSTER_CLONES
#endif
#define MUSTER_INLINE inline __attribute__((always_inline))

namespace muster::secagg {
namespace {

static_assert(std::endian::native == std::endian::little,
              "ring elements are little-endian, and so must be the machine's integers");

template <typename T>
MUSTER_INLINE T Load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}
template <typename T>
MUSTER_INLINE void Store(T value, uint8_t* at) {
  std::memcpy(at, &value, sizeof(value));
}

template <typename T>
MUSTER_INLINE void Add(uint8_t* __restrict to, const uint8_t* __restrict from, size_t bytes) {
  for (size_t i = 0; i < bytes; i += sizeof(T)) {
    Store(static_cast<T>(Load<T>(to + i) + Load<T>(from + i)), to + i);
  }
}

template <typename T, bool kSubtract>
MUSTER_INLINE void Four(uint8_t* __restrict to, const uint8_t* __restrict a,
                        const uint8_t* __restrict b, const uint8_t* __restrict c,
                        const uint8_t* __restrict d, size_t bytes) {
  for (size_t i = 0; i < bytes; i += sizeof(T)) {
    const T ab = static_cast<T>(Load<T>(a + i) + Load<T>(b + i));
    const T cd = static_cast<T>(Load<T>(c + i) + Load<T>(d + i));
    const T sum = static_cast<T>(ab + cd);
    const T old = Load<T>(to + i);
    Store(static_cast<T>(kSubtract ? old - sum : old + sum), to + i);
  }
}

template <bool kSubtract>
MUSTER_INLINE void FourOf(uint32_t bits, uint8_t* to, const FourParts& parts, size_t bytes) {
  const auto [a, b, c, d] = parts;
  if (bits == 16) return Four<uint16_t, kSubtract>(to, a, b, c, d, bytes);
  if (bits == 32) return Four<uint32_t, kSubtract>(to, a, b, c, d, bytes);
  Four<uint64_t, kSubtract>(to, a, b, c, d, bytes);
}

MUSTER_CLONES
void AddLoop(uint32_t bits, uint8_t* to, const uint8_t* from, size_t bytes) {
  if (bits == 16) return Add<uint16_t>(to, from, bytes);
  if (bits == 32) return Add<uint32_t>(to, from, bytes);
  Add<uint64_t>(to, from, bytes);
}

MUSTER_CLONES
void AddFourLoop(uint32_t bits, uint8_t* to, const FourParts& parts, bool subtract, size_t bytes) {
  if (subtract) return FourOf<true>(bits, to, parts, bytes);
  FourOf<false>(bits, to, parts, bytes);
}

// Whole vectors of 32-bit signed integers convert to and from double at once; 64-bit ones, and
// unsigned ones, do not on most processors. Flipping the top bit moves [0, 2^32) to
// [-2^31, 2^31).
template <typename T, typename Wide>
MUSTER_INLINE void Round(const float* __restrict values, double factor, double bound,
                         const uint32_t* __restrict random, uint8_t* __restrict out, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const double u = static_cast<double>(static_cast<int32_t>(random[i] ^ 0x80000000u)) * 0x1p-32;
    double x = std::floor(static_cast<double>(values[i]) * factor + (u + 0.5));
    x = x > bound ? bound : x;
    x = x < -bound ? -bound : x;
    Store<T>(static_cast<T>(static_cast<Wide>(x)), out + i * sizeof(T));
  }
}

MUSTER_CLONES
void RoundLoop(uint32_t bits, const float* values, double factor, double bound,
               const uint32_t* random, uint8_t* out, size_t n) {
  if (bits == 16) return Round<int16_t, int32_t>(values, factor, bound, random, out, n);
  if (bits == 32) return Round<int32_t, int32_t>(values, factor, bound, random, out, n);
  Round<int64_t, int64_t>(values, factor, bound, random, out, n);
}

MUSTER_CLONES
double SumOfSquaresLoop(const float* values, size_t n) {
  constexpr size_t kLanes = 16;  // partial sums, whatever the processor: one order of addition
  double sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      sums[j] += static_cast<double>(values[i + j]) * static_cast<double>(values[i + j]);
    }
  }
  double sum = 0;
  for (const double partial : sums) sum += partial;
  for (; i < n; ++i) sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return sum;
}

}  // namespace

void AddElements(uint32_t bits, std::span<uint8_t> to, std::span<const uint8_t> from) {
  assert(to.size() == from.size() && to.size() % (bits / 8) == 0);
  AddLoop(bits, to.data(), from.data(), to.size());
}

void AddFour(uint32_t bits, std::span<uint8_t> to, const FourParts& parts, bool subtract) {
  assert(to.size() % (bits / 8) == 0);
  AddFourLoop(bits, to.data(), parts, subtract, to.size());
}

int64_t LoadElement(uint32_t bits, const uint8_t* at) {
  if (bits == 16) return Load<int16_t>(at);
  if (bits == 32) return Load<int32_t>(at);
  return Load<int64_t>(at);
}

void StoreElement(uint32_t bits, int64_t value, uint8_t* at) {
  const auto ring = static_cast<uint64_t>(value);
  if (bits == 16) return Store(static_cast<uint16_t>(ring), at);
  if (bits == 32) return Store(static_cast<uint32_t>(ring), at);
  Store(ring, at);
}

void RoundElements(uint32_t bits, std::span<const float> values, double factor, double bound,
                   std::span<const uint32_t> random, std::span<uint8_t> out) {
  assert(values.size() == random.size() && out.size() == values.size() * (bits / 8));
  RoundLoop(bits, values.data(), factor, bound, random.data(), out.data(), values.size());
}

double SumOfSquares(std::span<const float> values) {
  return SumOfSquaresLoop(values.data(), values.size());
}

}  // namespace muster::secagg
