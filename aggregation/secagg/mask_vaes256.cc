// Masks with AVX2 and VAES, for processors without AVX-512: two AES blocks in each register.
#if defined(__VAES__) && defined(__AVX2__)

#include <immintrin.h>

#include "aggregation/secagg/mask_fused.h"

namespace muster::secagg {
namespace {

struct Vector256 {
  using Reg = __m256i;
  static constexpr size_t kBytes = 32;
  static Reg Load(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void Store(uint8_t* p, Reg x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
  static Reg Broadcast(const uint8_t* p) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Reg Pair(uint64_t low, uint64_t high) {
    return _mm256_broadcastsi128_si256(
        _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low)));
  }
  static Reg Xor(Reg a, Reg b) { return _mm256_xor_si256(a, b); }
  static Reg Round(Reg x, Reg key) { return _mm256_aesenc_epi128(x, key); }
  static Reg LastRound(Reg x, Reg key) { return _mm256_aesenclast_epi128(x, key); }
  template <int kBits>
  static Reg Add(Reg a, Reg b) {
    if constexpr (kBits == 16) return _mm256_add_epi16(a, b);
    if constexpr (kBits == 32) return _mm256_add_epi32(a, b);
    return _mm256_add_epi64(a, b);
  }
  template <int kBits>
  static Reg Sub(Reg a, Reg b) {
    if constexpr (kBits == 16) return _mm256_sub_epi16(a, b);
    if constexpr (kBits == 32) return _mm256_sub_epi32(a, b);
    return _mm256_sub_epi64(a, b);
  }
};

}  // namespace

FusedKernel Vaes256Kernel() { return ApplyFused<Vector256>; }

}  // namespace muster::secagg

#else

#include "aggregation/secagg/mask_kernels.h"

namespace muster::secagg {
FusedKernel Vaes256Kernel() { return nullptr; }
}  // namespace muster::secagg

#endif
