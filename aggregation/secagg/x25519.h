// X25519 (RFC 7748, section 5) with OpenSSL's EVP. The protocol uses it through keys.h, whose keys
// have types.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "proto/core/secagg_messages.h"
#include "proto/core/secret_bytes.h"

namespace muster::secagg {

inline constexpr size_t kSecretBytes = 32;  // every shared secret: keys and seeds

// A secret key made ready once, for agreements with many peers: OpenSSL computes the public key
// whenever it is given a secret one. Wiped at its end. Thread-safe.
class X25519Key {
 public:
  explicit X25519Key(std::span<const uint8_t, kSecretBytes> secret);
  PublicKeyBytes PublicKey() const;
  // Nothing if the shared secret would be all zero (RFC 7748, section 6.1): the peer's key is of
  // small order.
  std::optional<SecretBytes<kSecretBytes>> Agree(const PublicKeyBytes& peer) const;

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const;
  };
  std::unique_ptr<EVP_PKEY, Free> key_;
};

}  // namespace muster::secagg
