// AES-256-GCM (SP 800-38D) with OpenSSL's EVP: 96-bit initialization vector, 128-bit tag. One pair
// of key and vector seals one box and never another.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace muster {

inline constexpr size_t kGcmKeyBytes = 32;
inline constexpr size_t kGcmTagBytes = 16;
using GcmVector = std::array<uint8_t, 12>;

// `box` is the ciphertext and then the tag: plain.size() + kGcmTagBytes bytes.
void GcmSeal(std::span<const uint8_t, kGcmKeyBytes> key, const GcmVector& vector,
             std::string_view associated, std::span<const uint8_t> plain, std::span<uint8_t> box);
// `plain` has box.size() - kGcmTagBytes bytes. False if the box is not authentic; what is then in
// `plain` must not be used.
bool GcmOpen(std::span<const uint8_t, kGcmKeyBytes> key, const GcmVector& vector,
             std::string_view associated, std::span<const uint8_t> box, std::span<uint8_t> plain);

}  // namespace muster
