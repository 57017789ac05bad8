#include "aggregation/secagg/keys.h"

#include <algorithm>
#include <optional>
#include <string>

#include "aggregation/secagg/transcript.h"
#include "proto/core/strings.h"
#include "proto/crypto/hkdf.h"

namespace muster::secagg {
namespace {

std::span<const uint8_t> Bytes(const Digest& digest) {
  return {reinterpret_cast<const uint8_t*>(digest.bytes().data()), digest.bytes().size()};
}

absl::Status SameClient(uint32_t index) {
  return absl::InvalidArgumentError(StrCat("client ", index, " has no key with itself"));
}

absl::Status SmallOrder(uint32_t a, uint32_t b) {
  return absl::InvalidArgumentError(StrCat("the shared secret of clients ", a, " and ", b,
                                           " would be zero: the public key is of small order"));
}

}  // namespace

PublicKeyBytes PublicKeyOf(const MaskSecretKey& key) { return X25519Key(key.span()).PublicKey(); }
PublicKeyBytes PublicKeyOf(const SharingSecretKey& key) {
  return X25519Key(key.span()).PublicKey();
}

absl::StatusOr<MaskKey> PairMaskKey(const Digest& sid, const MaskAgreements& own,
                                    uint32_t own_index, const PublicKeyBytes& peer,
                                    uint32_t peer_index) {
  if (own_index == peer_index) return SameClient(own_index);
  const std::optional<SecretBytes<kSecretBytes>> shared = own.own().Agree(peer);
  if (!shared.has_value()) return SmallOrder(own_index, peer_index);
  const auto [lower, higher] = std::minmax(own_index, peer_index);
  MaskKey key;
  Hkdf(Bytes(sid), shared->span(),
       Transcript("muster/secagg/1/pair").AddNumber(lower).AddNumber(higher).bytes(),
       key.writable());
  return key;
}

MaskKey SelfMaskKey(const Digest& sid, const SelfSeed& seed, uint32_t index) {
  MaskKey key;
  Hkdf(Bytes(sid), seed.span(), Transcript("muster/secagg/1/self").AddNumber(index).bytes(),
       key.writable());
  return key;
}

absl::StatusOr<ShareBoxKey> BoxKey(const Digest& sid, const SharingAgreements& own,
                                   const PublicKeyBytes& peer, uint32_t sender, uint32_t receiver) {
  if (sender == receiver) return SameClient(sender);
  const std::optional<SecretBytes<kSecretBytes>> shared = own.own().Agree(peer);
  if (!shared.has_value()) return SmallOrder(sender, receiver);
  ShareBoxKey key;
  Hkdf(Bytes(sid), shared->span(),
       Transcript("muster/secagg/1/enc").AddNumber(sender).AddNumber(receiver).bytes(),
       key.writable());
  return key;
}

}  // namespace muster::secagg
