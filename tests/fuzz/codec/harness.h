// What every target checks: a message that decodes must survive encoding and decoding unchanged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace muster::fuzz {

inline void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

template <typename Wire>
bool ParseWire(std::string_view bytes, Wire* wire) {
  return wire->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

template <typename Wire, typename Decode, typename Encode>
void DecodeAndReturn(std::string_view bytes, Decode decode, Encode encode) {
  Wire wire;
  if (!ParseWire(bytes, &wire)) return;
  const auto value = decode(wire);
  if (!value.ok()) {
    Require(!value.status().message().empty(), "a refusal says why");
    return;
  }
  const Wire encoded = encode(*value);
  const auto again = decode(encoded);
  Require(again.ok() && *again == *value, "decode(encode(x)) == x");
}

// For requests that only travel in one direction.
template <typename Wire, typename Decode>
void DecodeOnly(std::string_view bytes, Decode decode) {
  Wire wire;
  if (!ParseWire(bytes, &wire)) return;
  const auto value = decode(wire);
  Require(value.ok() || !value.status().message().empty(), "a refusal says why");
}

// The first byte chooses one of `kinds` messages, the rest is its bytes.
inline int Choose(const uint8_t* data, size_t size, int kinds, std::string_view* rest) {
  if (size == 0) return -1;
  *rest = {reinterpret_cast<const char*>(data) + 1, size - 1};
  return data[0] % kinds;
}

}  // namespace muster::fuzz
