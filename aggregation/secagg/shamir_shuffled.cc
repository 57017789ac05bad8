#include "aggregation/secagg/shamir_kernels.h"

#ifdef __x86_64__

#include <immintrin.h>

#include <array>
#include <cassert>
#include <cstdlib>

#include "aggregation/secagg/shamir_field.h"

// These functions, and only these, use instructions that not every processor has.
#define MUSTER_SSSE3 __attribute__((target("ssse3")))

namespace muster::secagg {
namespace {

// The products of x and every element whose set bits lie within one nibble: entry i of table p is
// x * (i << 4p). A product is then the sum of one entry for each nibble.
template <typename Field>
using NibbleTables = std::array<std::array<uint16_t, 16>, Field::kBits / 4>;

template <typename Field>
NibbleTables<Field> TablesOf(uint16_t x) {
  NibbleTables<Field> tables{};
  uint16_t shifted = x;  // x * 2^bit
  for (auto& table : tables) {
    for (size_t span = 1; span < 16; span *= 2) {
      for (size_t i = 0; i < span; ++i) {
        table[span + i] = static_cast<uint16_t>(table[i] ^ shifted);
      }
      shifted = TimesX<Field>(shifted);
    }
  }
  return tables;
}

// One byte of each entry, as a register.
MUSTER_SSSE3 __m128i ByteOf(const std::array<uint16_t, 16>& table, unsigned shift) {
  alignas(16) std::array<uint8_t, 16> bytes;
  for (size_t i = 0; i < 16; ++i) bytes[i] = static_cast<uint8_t>(table[i] >> shift);
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes.data()));
}

MUSTER_SSSE3 __m128i Load(const uint8_t* bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}
MUSTER_SSSE3 void Store(uint8_t* bytes, __m128i value) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), value);
}
MUSTER_SSSE3 __m128i LowNibbles(__m128i bytes) { return _mm_and_si128(bytes, _mm_set1_epi8(0x0F)); }
MUSTER_SSSE3 __m128i HighNibbles(__m128i bytes) { return LowNibbles(_mm_srli_epi16(bytes, 4)); }

MUSTER_SSSE3 __m128i TimesNarrow(__m128i low_table, __m128i high_table, __m128i bytes) {
  return _mm_xor_si128(_mm_shuffle_epi8(low_table, LowNibbles(bytes)),
                       _mm_shuffle_epi8(high_table, HighNibbles(bytes)));
}

MUSTER_SSSE3 void EvaluateNarrow(std::span<const uint8_t> coefficients, uint16_t x,
                                 std::span<uint8_t, kShareBytes> out) {
  assert(!coefficients.empty() && coefficients.size() % kShareBytes == 0);
  const auto tables = TablesOf<Gf8>(x);
  const __m128i low_table = ByteOf(tables[0], 0);
  const __m128i high_table = ByteOf(tables[1], 0);
  size_t at = coefficients.size() - kShareBytes;
  __m128i first = Load(&coefficients[at]);
  __m128i second = Load(&coefficients[at + 16]);
  while (at > 0) {
    at -= kShareBytes;
    first = _mm_xor_si128(TimesNarrow(low_table, high_table, first), Load(&coefficients[at]));
    second =
        _mm_xor_si128(TimesNarrow(low_table, high_table, second), Load(&coefficients[at + 16]));
  }
  Store(out.data(), first);
  Store(out.data() + 16, second);
}

// The 16 words of a block as two registers: all low bytes, all high bytes.
struct Planes {
  __m128i low, high;
};

MUSTER_SSSE3 Planes LoadPlanes(const uint8_t* bytes) {
  const __m128i first = Load(bytes);
  const __m128i second = Load(bytes + 16);
  const __m128i byte = _mm_set1_epi16(0x00FF);
  return {_mm_packus_epi16(_mm_and_si128(first, byte), _mm_and_si128(second, byte)),
          _mm_packus_epi16(_mm_srli_epi16(first, 8), _mm_srli_epi16(second, 8))};
}

// One byte of the products of each of a word's four nibbles.
struct WordTables {
  __m128i first, second, third, fourth;
};

MUSTER_SSSE3 WordTables WordTablesOf(const NibbleTables<Gf16>& tables, unsigned shift) {
  return {ByteOf(tables[0], shift), ByteOf(tables[1], shift), ByteOf(tables[2], shift),
          ByteOf(tables[3], shift)};
}

MUSTER_SSSE3 __m128i TimesWide(const WordTables& tables, const Planes& words) {
  const __m128i low = _mm_xor_si128(_mm_shuffle_epi8(tables.first, LowNibbles(words.low)),
                                    _mm_shuffle_epi8(tables.second, HighNibbles(words.low)));
  const __m128i high = _mm_xor_si128(_mm_shuffle_epi8(tables.third, LowNibbles(words.high)),
                                     _mm_shuffle_epi8(tables.fourth, HighNibbles(words.high)));
  return _mm_xor_si128(low, high);
}

MUSTER_SSSE3 void EvaluateWide(std::span<const uint8_t> coefficients, uint16_t x,
                               std::span<uint8_t, kShareBytes> out) {
  assert(!coefficients.empty() && coefficients.size() % kShareBytes == 0);
  const auto tables = TablesOf<Gf16>(x);
  const WordTables low_tables = WordTablesOf(tables, 0);
  const WordTables high_tables = WordTablesOf(tables, 8);
  size_t at = coefficients.size() - kShareBytes;
  Planes sum = LoadPlanes(&coefficients[at]);
  while (at > 0) {
    at -= kShareBytes;
    const Planes next = LoadPlanes(&coefficients[at]);
    sum = {_mm_xor_si128(TimesWide(low_tables, sum), next.low),
           _mm_xor_si128(TimesWide(high_tables, sum), next.high)};
  }
  Store(out.data(), _mm_unpacklo_epi8(sum.low, sum.high));
  Store(out.data() + 16, _mm_unpackhi_epi8(sum.low, sum.high));
}

}  // namespace

bool HasShuffledShamir() { return __builtin_cpu_supports("ssse3") != 0; }
ShamirKernel ShuffledShamir() { return {.narrow = EvaluateNarrow, .wide = EvaluateWide}; }

}  // namespace muster::secagg

#else

namespace muster::secagg {

bool HasShuffledShamir() { return false; }
ShamirKernel ShuffledShamir() { return PortableShamir(); }

}  // namespace muster::secagg

#endif
