// The fused kernels: the keystream is added to the vector without ever lying in memory. Plain types
// only, because files that are compiled for other instructions include it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace muster::secagg {

// Kernels see whole groups only. Groups start at multiples of 512 bytes from the start of the
// vector: 32 AES blocks, 8 ChaCha20 blocks, and what the fused kernels hold in registers.
inline constexpr size_t kGroupBytes = 512;
inline constexpr size_t kTileGroups = 32;  // 16 KB: a tile stays in the first-level cache

inline constexpr int kAes128Rounds = 10;
inline constexpr int kAes256Rounds = 14;

// An expanded AES key (FIPS 197) and what is done with its keystream. Its owner wipes it.
struct alignas(64) AesSchedule {
  uint8_t rounds[kAes256Rounds + 1][16];
  bool subtract;
};

// Applies `count` masks to groups [first_group, first_group + group_count) of a vector, in place.
// `rounds` is kAes128Rounds or kAes256Rounds.
using FusedKernel = void (*)(const AesSchedule* schedules, size_t count, int rounds,
                             uint32_t ring_bits, uint64_t first_group, uint8_t* groups,
                             size_t group_count);

// Null where the program was not compiled for it. Whether the processor can run it is for the
// caller to find out.
FusedKernel AesNiKernel();    // 128-bit registers
FusedKernel Vaes256Kernel();  // AVX2 and VAES
FusedKernel Vaes512Kernel();  // AVX-512 and VAES

// `key` has 16 or 32 bytes, as `rounds` says. Needs AES-NI.
void ExpandAesKey(const uint8_t* key, int rounds, AesSchedule& schedule);

}  // namespace muster::secagg
