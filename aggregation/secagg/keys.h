// Typed keys of the protocol. Each has one use; secrets are move-only and wiped (SecretBytes).
//
// X25519 (RFC 7748) with OpenSSL's EVP; HKDF-SHA256 (RFC 5869) with salt = session id. Each derived
// key is used for one purpose, so initialization vectors are zero:
//   pair mask    info "pair" || lower index || higher index,  input DH(mask keys)
//   self mask    info "self" || index,                        input the self-mask seed
//   share box    info "enc"  || sender || receiver,           input DH(sharing keys): directional
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "aggregation/secagg/x25519.h"
#include "proto/core/digest.h"
#include "proto/core/random.h"
#include "proto/core/secagg_messages.h"
#include "proto/core/secret_bytes.h"

namespace muster::secagg {

// Distinct types, so that a key cannot be passed where another is meant.
template <typename Tag>
class TypedSecret {
 public:
  TypedSecret() = default;
  explicit TypedSecret(SecretBytes<kSecretBytes> bytes) : bytes_(std::move(bytes)) {}
  explicit TypedSecret(std::span<const uint8_t, kSecretBytes> bytes) : bytes_(bytes) {}
  static TypedSecret Fresh(RandomSource& random) {
    TypedSecret secret;
    random.Fill(secret.bytes_.writable());
    return secret;
  }
  std::span<const uint8_t, kSecretBytes> span() const { return bytes_.span(); }
  std::span<uint8_t, kSecretBytes> writable() { return bytes_.writable(); }
  bool ConstantTimeEquals(const TypedSecret& other) const {
    return bytes_.ConstantTimeEquals(other.bytes_);
  }
  TypedSecret Clone() const { return TypedSecret(bytes_.span()); }

 private:
  SecretBytes<kSecretBytes> bytes_;
};

using MaskSecretKey = TypedSecret<struct MaskSecretKeyTag>;        // X25519
using SharingSecretKey = TypedSecret<struct SharingSecretKeyTag>;  // X25519
using SelfSeed = TypedSecret<struct SelfSeedTag>;                  // b_u
using MaskKey = TypedSecret<struct MaskKeyTag>;  // of a mask's keystream; AES-128 takes 16 bytes
using ShareBoxKey = TypedSecret<struct ShareBoxKeyTag>;  // AES-256-GCM

PublicKeyBytes PublicKeyOf(const MaskSecretKey& key);
PublicKeyBytes PublicKeyOf(const SharingSecretKey& key);

// A client's own secret key, made ready for agreements with many peers.
template <typename SecretKey>
class Agreements {
 public:
  explicit Agreements(const SecretKey& own) : own_(own.span()) {}
  const X25519Key& own() const { return own_; }

 private:
  X25519Key own_;
};
using MaskAgreements = Agreements<MaskSecretKey>;
using SharingAgreements = Agreements<SharingSecretKey>;

// InvalidArgument if the shared secret is all zero: the peer's key is of small order.
absl::StatusOr<MaskKey> PairMaskKey(const Digest& sid, const MaskAgreements& own,
                                    uint32_t own_index, const PublicKeyBytes& peer,
                                    uint32_t peer_index);
MaskKey SelfMaskKey(const Digest& sid, const SelfSeed& seed, uint32_t index);
absl::StatusOr<ShareBoxKey> BoxKey(const Digest& sid, const SharingAgreements& own,
                                   const PublicKeyBytes& peer, uint32_t sender, uint32_t receiver);

}  // namespace muster::secagg
