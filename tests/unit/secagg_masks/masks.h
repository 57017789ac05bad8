// Masks and rings for the tests of this folder.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aggregation/secagg/mask.h"
#include "proto/core/digest.h"
#include "proto/core/random.h"

namespace muster::secagg {

constexpr uint32_t kAllBits[] = {16, 32, 64};
constexpr MaskCipher kAllCiphers[] = {MaskCipher::kAes128Ctr, MaskCipher::kAes256Ctr,
                                      MaskCipher::kChaCha20};

inline std::vector<MaskKernel> KernelsHere() {
  std::vector<MaskKernel> kernels;
  for (const MaskKernel kernel : {MaskKernel::kPortable, MaskKernel::kAesNi, MaskKernel::kVaes}) {
    if (HasKernel(kernel)) kernels.push_back(kernel);
  }
  return kernels;
}

inline MaskKey KeyOf(std::string_view hex) {
  std::string bytes = HexDecode(hex).value();
  bytes.resize(kSecretBytes, '\x5a');  // AES-128 must not look at the rest
  MaskKey key;
  std::copy(bytes.begin(), bytes.end(), key.writable().begin());
  return key;
}

inline std::vector<SignedMask> OneMask(MaskKey key, bool subtract = false) {
  std::vector<SignedMask> masks(1);
  masks[0].key = std::move(key);
  masks[0].subtract = subtract;
  return masks;
}

inline std::vector<SignedMask> RandomMasks(size_t count, uint64_t seed) {
  SeededRandom random(seed);
  std::vector<SignedMask> masks(count);
  for (SignedMask& mask : masks) {
    mask.key = MaskKey::Fresh(random);
    mask.subtract = random.Below(2) == 1;
  }
  return masks;
}

inline std::vector<uint8_t> RandomBytes(size_t size, RandomSource& random) {
  std::vector<uint8_t> bytes(size);
  random.Fill(bytes);
  return bytes;
}

// The mask itself: what it adds to zeros.
inline std::string MaskBytes(const MaskSet& masks, uint64_t offset, size_t size) {
  std::vector<uint8_t> bytes(size);
  masks.Apply(offset, bytes);
  return std::string(bytes.begin(), bytes.end());
}

}  // namespace muster::secagg
