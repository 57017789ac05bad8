#include "aggregation/secagg/share_box.h"

#include <algorithm>

#include "aggregation/secagg/transcript.h"
#include "proto/core/strings.h"
#include "proto/crypto/aes_gcm.h"

namespace muster::secagg {
namespace {

static_assert(kBoxTagBytes == kGcmTagBytes && kSecretBytes == kGcmKeyBytes);

// A key seals one box, so the initialization vector never repeats under it.
constexpr GcmVector kZeroVector{};

std::string Associated(const BoxAddress& address) {
  return Transcript("muster/secagg/1/box")
      .Add(address.sid)
      .AddNumber(address.sender)
      .AddNumber(address.receiver)
      .AddNumber(address.holder)
      .Add(address.commitment)
      .bytes();
}

using Plain = SecretBytes<2 * kShareBytes>;

}  // namespace

std::string SealShares(const ShareBoxKey& key, const BoxAddress& address, const SharePair& shares) {
  Plain plain;
  std::ranges::copy(shares.self_share.span(), plain.writable().first<kShareBytes>().begin());
  std::ranges::copy(shares.key_share.span(), plain.writable().last<kShareBytes>().begin());
  std::string box(kBoxBytes, '\0');
  GcmSeal(key.span(), kZeroVector, Associated(address), plain.span(),
          {reinterpret_cast<uint8_t*>(box.data()), box.size()});
  return box;
}

absl::StatusOr<SharePair> OpenShares(const ShareBoxKey& key, const BoxAddress& address,
                                     std::string_view box) {
  if (box.size() != kBoxBytes) {
    return absl::UnauthenticatedError(StrCat("shares from client ", address.sender, " have ",
                                             kBoxBytes, " bytes, not ", box.size()));
  }
  Plain plain;
  if (!GcmOpen(key.span(), kZeroVector, Associated(address),
               {reinterpret_cast<const uint8_t*>(box.data()), box.size()}, plain.writable())) {
    return absl::UnauthenticatedError(
        StrCat("shares from client ", address.sender, " for client ", address.receiver,
               " are not authentic: misrouted, reflected or changed"));
  }
  return SharePair{
      .self_share = SecretBytes<kShareBytes>(plain.span().first<kShareBytes>()),
      .key_share = SecretBytes<kShareBytes>(plain.span().last<kShareBytes>()),
  };
}

}  // namespace muster::secagg
