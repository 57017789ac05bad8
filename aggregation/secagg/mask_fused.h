// The fused kernels, written once for registers of 16, 32 and 64 bytes. Only the kernel files
// include it, each compiled for its own instructions; so everything here is in an unnamed namespace
// and nothing comes from the standard library: a shared inline function could otherwise be linked
// from a file whose instructions the processor does not have.
//
// A vector type V gives
//   V::Reg, V::kBytes
//   V::Load(p), V::Store(p, x)       unaligned
//   V::Broadcast(p)                  16 aligned bytes to every lane of 128 bits
//   V::Pair(low, high)               two 64-bit numbers to every lane
//   V::Xor(a, b), V::Round(x, key), V::LastRound(x, key)
//   V::Add<bits>(a, b), V::Sub<bits>(a, b)
#pragma once

#include <cstddef>
#include <cstdint>

#include "aggregation/secagg/mask_kernels.h"

namespace muster::secagg {
namespace {

constexpr int kBlocksPerGroup = kGroupBytes / 16;
constexpr int kUnroll = 8;  // registers in flight: hides the latency of an AES round

// The block's number within its group, where the counter's last byte is. A group starts at a
// multiple of 32 blocks, so XOR is addition.
struct BlockNumbers {
  alignas(64) uint8_t bytes[kGroupBytes];
};
constexpr BlockNumbers MakeBlockNumbers() {
  BlockNumbers numbers{};
  for (int i = 0; i < kBlocksPerGroup; ++i) numbers.bytes[16 * i + 15] = static_cast<uint8_t>(i);
  return numbers;
}
constexpr BlockNumbers kBlockNumbers = MakeBlockNumbers();

// Stops the compiler from loading all round keys before the loop: they would take the registers
// that the blocks need, and reading a key from the cache is free.
inline void KeepLoadsHere() { __asm__ volatile("" ::: "memory"); }

template <class V, int kRounds, int kBits, bool kSubtract>
void MaskTile(const AesSchedule& schedule, uint64_t first_group, uint8_t* __restrict groups,
              size_t group_count) {
  using Reg = typename V::Reg;
  for (size_t g = 0; g < group_count; ++g) {
    // The counter of SP 800-38A: 128 bits, big endian; its upper half is 0 below 2^68 bytes.
    const Reg counter = V::Pair(0, __builtin_bswap64((first_group + g) * kBlocksPerGroup));
    const Reg start = V::Xor(counter, V::Broadcast(schedule.rounds[0]));
    for (size_t at = 0; at < kGroupBytes; at += kUnroll * V::kBytes) {
      Reg x[kUnroll];
#pragma GCC unroll 8
      for (int j = 0; j < kUnroll; ++j) {
        x[j] = V::Xor(start, V::Load(kBlockNumbers.bytes + at + j * V::kBytes));
      }
#pragma GCC unroll 14
      for (int r = 1; r < kRounds; ++r) {
        KeepLoadsHere();
        const Reg key = V::Broadcast(schedule.rounds[r]);
#pragma GCC unroll 8
        for (int j = 0; j < kUnroll; ++j) x[j] = V::Round(x[j], key);
      }
      const Reg key = V::Broadcast(schedule.rounds[kRounds]);
      uint8_t* p = groups + g * kGroupBytes + at;
#pragma GCC unroll 8
      for (int j = 0; j < kUnroll; ++j, p += V::kBytes) {
        const Reg mask = V::LastRound(x[j], key);
        const Reg value = V::Load(p);
        V::Store(p, kSubtract ? V::template Sub<kBits>(value, mask)
                              : V::template Add<kBits>(value, mask));
      }
    }
  }
}

// All keys over one tile before the next tile.
template <class V, int kRounds, int kBits>
void MaskTiles(const AesSchedule* schedules, size_t count, uint64_t first_group, uint8_t* groups,
               size_t group_count) {
  while (group_count > 0) {
    const size_t n = group_count < kTileGroups ? group_count : kTileGroups;
    for (size_t k = 0; k < count; ++k) {
      if (schedules[k].subtract) {
        MaskTile<V, kRounds, kBits, true>(schedules[k], first_group, groups, n);
      } else {
        MaskTile<V, kRounds, kBits, false>(schedules[k], first_group, groups, n);
      }
    }
    first_group += n;
    groups += n * kGroupBytes;
    group_count -= n;
  }
}

template <class V, int kRounds>
void MaskBits(const AesSchedule* schedules, size_t count, uint32_t ring_bits, uint64_t first_group,
              uint8_t* groups, size_t group_count) {
  if (ring_bits == 16) {
    MaskTiles<V, kRounds, 16>(schedules, count, first_group, groups, group_count);
  } else if (ring_bits == 32) {
    MaskTiles<V, kRounds, 32>(schedules, count, first_group, groups, group_count);
  } else {
    MaskTiles<V, kRounds, 64>(schedules, count, first_group, groups, group_count);
  }
}

template <class V>
void ApplyFused(const AesSchedule* schedules, size_t count, int rounds, uint32_t ring_bits,
                uint64_t first_group, uint8_t* groups, size_t group_count) {
  if (rounds == kAes128Rounds) {
    MaskBits<V, kAes128Rounds>(schedules, count, ring_bits, first_group, groups, group_count);
  } else {
    MaskBits<V, kAes256Rounds>(schedules, count, ring_bits, first_group, groups, group_count);
  }
}

}  // namespace
}  // namespace muster::secagg
