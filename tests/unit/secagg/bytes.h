// Hex in tests.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/core/digest.h"
#include "proto/core/secret_bytes.h"

namespace muster::secagg {

inline std::vector<uint8_t> FromHex(std::string_view hex) {
  const auto bytes = HexDecode(hex);
  if (!bytes.ok()) std::abort();
  return {bytes->begin(), bytes->end()};
}

inline std::array<uint8_t, 32> Bytes32(std::string_view hex) {
  const std::vector<uint8_t> bytes = FromHex(hex);
  std::array<uint8_t, 32> out{};
  if (bytes.size() != out.size()) std::abort();
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

inline std::string Hex(std::span<const uint8_t> bytes) {
  return HexEncode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

inline SecretBytes<32> Repeated(uint8_t byte) {
  SecretBytes<32> bytes;
  std::ranges::fill(bytes.writable(), byte);
  return bytes;
}

}  // namespace muster::secagg
