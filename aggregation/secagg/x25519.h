// X25519 (RFC 7748, section 5) with OpenSSL's EVP. Used by keys.cc alone; the rest of the protocol
// has keys with types.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "aggregation/secagg/keys.h"

namespace muster::secagg {

PublicKeyBytes X25519PublicKey(std::span<const uint8_t, kSecretBytes> secret);
// Nothing if the shared secret would be all zero (RFC 7748, section 6.1): the peer's key is of
// small order.
std::optional<SecretBytes<kSecretBytes>> X25519(std::span<const uint8_t, kSecretBytes> secret,
                                                const PublicKeyBytes& peer);

}  // namespace muster::secagg
