// The groups of the key exchange (RFC 8446, 4.2.7) that both sides offer, the quicker first. gRPC
// 1.51 alone offers P-256 only, at about four times the time of X25519.
#pragma once

namespace muster {

inline constexpr char kTlsGroups[] = "X25519:P-256";

// From now on, in every TLS connection of this process: gRPC lets nobody set them for its own.
void OfferTlsGroups();

}  // namespace muster
