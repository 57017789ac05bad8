// Masks with OpenSSL's EVP, tile by tile: for every processor and every cipher.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "aggregation/secagg/mask.h"

namespace muster::secagg {

// Four tiles of keystream, the vector's own and the zeros that EVP encrypts stay in the
// second-level cache together; smaller ones cost more in calls than they save in misses.
inline constexpr size_t kPortableTileBytes = 16u << 10;

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
  std::vector<SignedMask> masks_;  // those that are added, then
  size_t subtracted_ = 0;          // this many
  std::unique_ptr<Evp> evp_;
};

}  // namespace muster::secagg
