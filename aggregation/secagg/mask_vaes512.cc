// Masks with AVX-512 and VAES: four AES blocks in each register.
#if defined(__VAES__) && defined(__AVX512F__) && defined(__AVX512BW__)

#include <immintrin.h>

#include "aggregation/secagg/mask_fused.h"

namespace muster::secagg {
namespace {

// GCC 12 warns that _mm512_broadcast_i32x4 reads an undefined register; masking nothing away does
// the same in one instruction.
inline __m512i FourTimes(__m128i x) { return _mm512_maskz_broadcast_i32x4(0xffff, x); }

struct Vector512 {
  using Reg = __m512i;
  static constexpr size_t kBytes = 64;
  static Reg Load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static void Store(uint8_t* p, Reg x) { _mm512_storeu_si512(p, x); }
  static Reg Broadcast(const uint8_t* p) {
    return FourTimes(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Reg Pair(uint64_t low, uint64_t high) {
    return FourTimes(_mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low)));
  }
  static Reg Xor(Reg a, Reg b) { return _mm512_xor_si512(a, b); }
  static Reg Round(Reg x, Reg key) { return _mm512_aesenc_epi128(x, key); }
  static Reg LastRound(Reg x, Reg key) { return _mm512_aesenclast_epi128(x, key); }
  template <int kBits>
  static Reg Add(Reg a, Reg b) {
    if constexpr (kBits == 16) return _mm512_add_epi16(a, b);
    if constexpr (kBits == 32) return _mm512_add_epi32(a, b);
    return _mm512_add_epi64(a, b);
  }
  template <int kBits>
  static Reg Sub(Reg a, Reg b) {
    if constexpr (kBits == 16) return _mm512_sub_epi16(a, b);
    if constexpr (kBits == 32) return _mm512_sub_epi32(a, b);
    return _mm512_sub_epi64(a, b);
  }
};

}  // namespace

FusedKernel Vaes512Kernel() { return ApplyFused<Vector512>; }

}  // namespace muster::secagg

#else

#include "aggregation/secagg/mask_kernels.h"

namespace muster::secagg {
FusedKernel Vaes512Kernel() { return nullptr; }
}  // namespace muster::secagg

#endif
