// Masks: the keystreams of many keys, added to or subtracted from one vector in Z_2^b.
//
// A mask is the raw keystream (AES-CTR of SP 800-38A from counter 0, or ChaCha20 of RFC 8439 from
// block 0, zero nonce), read as little-endian ring elements: element i uses bytes [i*b/8,
// (i+1)*b/8). Random access follows: a part of the vector is masked alone, and tiles of about 16 KB
// stay in the cache while all keys pass over them.
//
// Kernels: portable (EVP, tile by tile), AES-NI and VAES (fused with the addition), chosen at run
// time and byte-identical.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "aggregation/secagg/keys.h"

namespace muster::secagg {

enum class MaskKernel { kPortable, kAesNi, kVaes };
MaskKernel BestKernel();  // of this processor
bool HasKernel(MaskKernel kernel);
std::string_view KernelName(MaskKernel kernel);

struct SignedMask {
  MaskKey key;
  bool subtract = false;
};

// A set of masks with expanded keys; immutable, thread-safe.
class MaskSet {
 public:
  MaskSet(MaskCipher cipher, uint32_t ring_bits, std::vector<SignedMask> masks,
          MaskKernel kernel = BestKernel());
  ~MaskSet();
  MaskSet(MaskSet&&) noexcept;
  MaskSet& operator=(MaskSet&&) noexcept;
  size_t size() const;

  // Applies all masks to the part of a vector that starts at byte `offset`: any offset and length
  // that are multiples of the ring element. `tile` is ring elements, little endian, in place.
  void Apply(uint64_t offset, std::span<uint8_t> part) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Applies all masks to a whole vector on `threads` threads (0: one for each core). `progress` is
// called now and then, from one thread at a time, with the bytes done.
void ApplyParallel(const MaskSet& masks, std::span<uint8_t> vector, unsigned threads,
                   const std::function<void(uint64_t done)>& progress = nullptr);

}  // namespace muster::secagg
