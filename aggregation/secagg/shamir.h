// Shamir's secret sharing (1979) of 32 bytes, in constant time: over GF(2^8) byte by byte while
// there are at most 254 holders, over GF(2^16) in 16-bit words beyond. Holder j has x = j + 1.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "aggregation/secagg/keys.h"

namespace muster::secagg {

inline constexpr uint32_t kMaxHoldersGf8 = 254;
inline constexpr uint32_t kMaxHolders = 65'000;
inline constexpr size_t kShareBytes = kSecretBytes;  // in both fields

// Shares of one secret; [holders] of kShareBytes each. 1 <= threshold <= holders.
std::vector<SecretBytes<kShareBytes>> SplitSecret(std::span<const uint8_t, kSecretBytes> secret,
                                                  uint32_t holders, uint32_t threshold,
                                                  RandomSource& random);

// Lagrange coefficients at zero for one set of holders; many secrets with the same responders share
// one Recovery.
class Recovery {
 public:
  // `holders`: of all shares, which decides the field. `responders`: distinct, below `holders`, at
  // least 1. InvalidArgument otherwise.
  static absl::StatusOr<Recovery> For(uint32_t holders, std::vector<uint32_t> responders);
  // Shares in the order of responders(). The secret, if they are at least its threshold and right.
  SecretBytes<kSecretBytes> Combine(
      std::span<const std::span<const uint8_t, kShareBytes>> shares) const;
  const std::vector<uint32_t>& responders() const { return responders_; }

 private:
  bool wide_ = false;  // GF(2^16)
  std::vector<uint32_t> responders_;
  std::vector<uint16_t> coefficients_;
};

}  // namespace muster::secagg
