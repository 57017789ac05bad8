// Whatever the bytes: a box of shares is refused, or it is what sealing the same shares for the
// same address under the same key gives. Input: sender, receiver and holder in a byte each, the
// commitment in 32, then the box.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "aggregation/secagg/share_box.h"

using muster::Digest;
using muster::secagg::BoxAddress;
using muster::secagg::ShareBoxKey;

namespace {

constexpr size_t kAddressBytes = 3 + Digest::kSize;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kAddressBytes) return 0;
  std::array<uint8_t, Digest::kSize> commitment;
  std::copy_n(data + 3, commitment.size(), commitment.begin());
  const BoxAddress address = {.sid = muster::Sha256("session"),
                              .sender = data[0],
                              .receiver = data[1],
                              .holder = data[2],
                              .commitment = Digest(commitment)};
  const std::string_view box(reinterpret_cast<const char*>(data) + kAddressBytes,
                             size - kAddressBytes);
  ShareBoxKey key;
  std::ranges::fill(key.writable(), uint8_t{7});
  const auto shares = muster::secagg::OpenShares(key, address, box);
  if (!shares.ok()) {
    if (shares.status().code() != absl::StatusCode::kUnauthenticated) std::abort();
    return 0;
  }
  if (muster::secagg::SealShares(key, address, *shares) != box) std::abort();
  return 0;
}
