// Masks with AES-NI, and the key schedules of all fused kernels.
#if defined(__AES__) && defined(__SSE4_1__)

#include <immintrin.h>

#include "aggregation/secagg/mask_fused.h"

namespace muster::secagg {
namespace {

struct Vector128 {
  using Reg = __m128i;
  static constexpr size_t kBytes = 16;
  static Reg Load(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static void Store(uint8_t* p, Reg x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), x); }
  static Reg Broadcast(const uint8_t* p) {
    return _mm_load_si128(reinterpret_cast<const __m128i*>(p));
  }
  static Reg Pair(uint64_t low, uint64_t high) {
    return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
  }
  static Reg Xor(Reg a, Reg b) { return _mm_xor_si128(a, b); }
  static Reg Round(Reg x, Reg key) { return _mm_aesenc_si128(x, key); }
  static Reg LastRound(Reg x, Reg key) { return _mm_aesenclast_si128(x, key); }
  template <int kBits>
  static Reg Add(Reg a, Reg b) {
    if constexpr (kBits == 16) return _mm_add_epi16(a, b);
    if constexpr (kBits == 32) return _mm_add_epi32(a, b);
    return _mm_add_epi64(a, b);
  }
  template <int kBits>
  static Reg Sub(Reg a, Reg b) {
    if constexpr (kBits == 16) return _mm_sub_epi16(a, b);
    if constexpr (kBits == 32) return _mm_sub_epi32(a, b);
    return _mm_sub_epi64(a, b);
  }
};

// FIPS 197, section 5.2. Word i of `key` becomes the XOR of its words 0 to i, as the recurrence
// w[i] = w[i - Nk] ^ w[i - 1] asks; `temp` is the transformed last word, in all four places.
inline __m128i NextWords(__m128i key, __m128i temp) {
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, temp);
}

// SubWord(RotWord(last word)) ^ Rcon, and SubWord(last word) as AES-256 needs it in between.
template <int kRcon>
__m128i RotatedLast(__m128i key) {
  return _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, kRcon), 0xff);
}
inline __m128i SubstitutedLast(__m128i key) {
  return _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, 0), 0xaa);
}

template <int kRcon>
__m128i NextKey128(__m128i key) {
  return NextWords(key, RotatedLast<kRcon>(key));
}

void Expand128(const uint8_t* key, __m128i* out) {
  out[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key));
  out[1] = NextKey128<0x01>(out[0]);
  out[2] = NextKey128<0x02>(out[1]);
  out[3] = NextKey128<0x04>(out[2]);
  out[4] = NextKey128<0x08>(out[3]);
  out[5] = NextKey128<0x10>(out[4]);
  out[6] = NextKey128<0x20>(out[5]);
  out[7] = NextKey128<0x40>(out[6]);
  out[8] = NextKey128<0x80>(out[7]);
  out[9] = NextKey128<0x1b>(out[8]);
  out[10] = NextKey128<0x36>(out[9]);
}

template <int kRcon>
void NextKeys256(__m128i* out) {
  out[2] = NextWords(out[0], RotatedLast<kRcon>(out[1]));
  out[3] = NextWords(out[1], SubstitutedLast(out[2]));
}

void Expand256(const uint8_t* key, __m128i* out) {
  out[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key));
  out[1] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key + 16));
  NextKeys256<0x01>(out);
  NextKeys256<0x02>(out + 2);
  NextKeys256<0x04>(out + 4);
  NextKeys256<0x08>(out + 6);
  NextKeys256<0x10>(out + 8);
  NextKeys256<0x20>(out + 10);
  out[14] = NextWords(out[12], RotatedLast<0x40>(out[13]));
}

}  // namespace

FusedKernel AesNiKernel() { return ApplyFused<Vector128>; }

void ExpandAesKey(const uint8_t* key, int rounds, AesSchedule& schedule) {
  auto* out = reinterpret_cast<__m128i*>(schedule.rounds);
  rounds == kAes128Rounds ? Expand128(key, out) : Expand256(key, out);
}

}  // namespace muster::secagg

#else

#include <cstdlib>

#include "aggregation/secagg/mask_kernels.h"

namespace muster::secagg {
FusedKernel AesNiKernel() { return nullptr; }
void ExpandAesKey(const uint8_t*, int, AesSchedule&) { std::abort(); }
}  // namespace muster::secagg

#endif
