// A secret has a type: move-only, wiped when it goes, compared in constant time, unprintable.
#pragma once

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace muster {

template <size_t N>
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::span<const uint8_t, N> bytes) {
    std::copy(bytes.begin(), bytes.end(), bytes_.begin());
  }
  ~SecretBytes() { Wipe(); }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  SecretBytes(SecretBytes&& other) noexcept : bytes_(other.bytes_) { other.Wipe(); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.Wipe();
    }
    return *this;
  }

  std::span<const uint8_t, N> span() const { return bytes_; }
  std::span<uint8_t, N> writable() { return bytes_; }
  bool ConstantTimeEquals(const SecretBytes& other) const {
    return CRYPTO_memcmp(bytes_.data(), other.bytes_.data(), N) == 0;
  }

 private:
  void Wipe() { OPENSSL_cleanse(bytes_.data(), N); }
  std::array<uint8_t, N> bytes_{};
};

}  // namespace muster
