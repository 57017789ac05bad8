// HKDF with SHA-256 (RFC 5869) with OpenSSL's EVP.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace muster {

// `info` says what the key is for: no two uses of one `input` share it. `out` is up to 255 x 32
// bytes. An empty salt is the RFC's own: zeros.
void Hkdf(std::span<const uint8_t> salt, std::span<const uint8_t> input, std::string_view info,
          std::span<uint8_t> out);

}  // namespace muster
