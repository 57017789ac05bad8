// SHA-256 (FIPS 180-4) digests: the names of all content.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace muster {

class Digest {
 public:
  static constexpr size_t kSize = 32;

  Digest() = default;  // all zero: names nothing
  explicit Digest(const std::array<uint8_t, kSize>& bytes) : bytes_(bytes) {}

  static absl::StatusOr<Digest> FromHex(std::string_view hex);      // 64 lower-case hex digits
  static absl::StatusOr<Digest> FromBytes(std::string_view bytes);  // exactly 32

  std::string hex() const;
  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  bool empty() const { return *this == Digest(); }

  friend auto operator<=>(const Digest&, const Digest&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Digest& digest) {
    return H::combine(std::move(h), digest.bytes_);
  }

 private:
  std::array<uint8_t, kSize> bytes_{};
};

Digest Sha256(std::string_view bytes);

// Incremental SHA-256.
class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(Sha256Hasher&&) noexcept;
  Sha256Hasher& operator=(Sha256Hasher&&) noexcept;

  void Update(std::string_view bytes);
  Digest Finish();  // once

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Streams the file through the hash.
absl::StatusOr<Digest> Sha256File(const std::filesystem::path& path);

std::string HexEncode(std::string_view bytes);
absl::StatusOr<std::string> HexDecode(std::string_view hex);

}  // namespace muster
