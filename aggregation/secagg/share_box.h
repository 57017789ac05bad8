// The two shares that one client sends another, sealed with AES-256-GCM under a directional key.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "aggregation/secagg/keys.h"
#include "aggregation/secagg/shamir.h"

namespace muster::secagg {

inline constexpr size_t kBoxTagBytes = 16;
inline constexpr size_t kBoxBytes = 2 * kShareBytes + kBoxTagBytes;

struct BoxAddress {
  Digest sid;
  uint32_t sender = 0, receiver = 0;  // indices
  uint32_t holder = 0;                // which of the sender's shares, from 0
  Digest commitment;                  // of the sender
};
struct SharePair {
  SecretBytes<kShareBytes> self_share;  // of the sender's self-mask seed
  SecretBytes<kShareBytes> key_share;   // of the sender's mask key
};

std::string SealShares(const ShareBoxKey& key, const BoxAddress& address, const SharePair& shares);
// Unauthenticated: misrouted, reflected or changed.
absl::StatusOr<SharePair> OpenShares(const ShareBoxKey& key, const BoxAddress& address,
                                     std::string_view box);

}  // namespace muster::secagg
