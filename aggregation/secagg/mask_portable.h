// Masks with OpenSSL's EVP, tile by tile: for every processor and every cipher.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "aggregation/secagg/mask.h"

namespace muster::secagg {

// The vector's tile, the keystream and the zeros that EVP encrypts stay in the first-level cache
// together.
inline constexpr size_t kPortableTileBytes = 8u << 10;

// Immutable, thread-safe.
class PortableMasks {
 public:
  PortableMasks(MaskCipher cipher, uint32_t ring_bits, std::vector<SignedMask> masks);
  ~PortableMasks();
  size_t size() const { return masks_.size(); }
  // Whole groups (mask_kernels.h) of the vector from `first_group` on, in place.
  void Apply(uint64_t first_group, std::span<uint8_t> groups) const;

 private:
  struct Evp;
  MaskCipher cipher_;
  uint32_t bits_;
  std::vector<SignedMask> masks_;
  std::unique_ptr<Evp> evp_;
};

}  // namespace muster::secagg
