// The groups of the key exchange (RFC 8446, 4.2.7), the quicker first. gRPC 1.51 alone knows P-256
// only, at about four times the time of X25519.
#pragma once

namespace muster {

// What a coordinator takes.
inline constexpr char kTlsGroups[] = "X25519:P-256";

// What callers offer: those two, and then the rest of OpenSSL's curves, because a process calls
// other servers than a coordinator as well.
inline constexpr char kOfferedTlsGroups[] = "X25519:P-256:X448:P-521:P-384";

// From now on, in every TLS connection of this process: gRPC lets nobody set them for its own.
void OfferTlsGroups();

}  // namespace muster
