#include "proto/core/random.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "proto/core/digest.h"

namespace muster {
namespace {

// Little-endian on every machine, so that a seed means the same everywhere.
uint64_t LittleEndian(uint64_t value) {
  if constexpr (std::endian::native == std::endian::little) return value;
  return __builtin_bswap64(value);
}

uint64_t LoadLittleEndian(std::span<const uint8_t, 8> bytes) {
  uint64_t value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return LittleEndian(value);
}

// Fewer than 8 bytes: the lowest.
void StoreLittleEndian(uint64_t value, std::span<uint8_t> bytes) {
  value = LittleEndian(value);
  std::memcpy(bytes.data(), &value, std::min(bytes.size(), sizeof(value)));
}

}  // namespace

uint64_t RandomSource::Next64() {
  std::array<uint8_t, 8> bytes;
  Fill(bytes);
  return LoadLittleEndian(bytes);
}

uint64_t RandomSource::Below(uint64_t bound) {
  if (bound == 0) std::abort();
  // 2^64 mod bound values at the bottom would make small remainders likelier: draw again.
  const uint64_t reject_below = (0 - bound) % bound;
  while (true) {
    const uint64_t value = Next64();
    if (value >= reject_below) return value % bound;
  }
}

double RandomSource::Unit() { return static_cast<double>(Next64() >> 11) * 0x1.0p-53; }

std::string RandomSource::Hex(size_t bytes) {
  std::vector<uint8_t> buffer(bytes);
  Fill(buffer);
  return HexEncode({reinterpret_cast<const char*>(buffer.data()), buffer.size()});
}

void SystemRandom::Fill(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const size_t n = std::min<size_t>(bytes.size(), INT_MAX);
    if (RAND_bytes(bytes.data(), static_cast<int>(n)) != 1) std::abort();
    bytes = bytes.subspan(n);
  }
}

void SeededRandom::Fill(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    // Of whole words the compiler makes one store each.
    if (bytes.size() < sizeof(z)) return StoreLittleEndian(z, bytes);
    StoreLittleEndian(z, bytes.first<sizeof(z)>());
    bytes = bytes.subspan(sizeof(z));
  }
}

uint64_t DeriveSeed(uint64_t seed, std::string_view label) {
  std::array<uint8_t, 8> prefix;
  StoreLittleEndian(seed, prefix);
  Sha256Hasher hasher;
  hasher.Update({reinterpret_cast<const char*>(prefix.data()), prefix.size()});
  hasher.Update(label);
  const Digest digest = hasher.Finish();
  std::array<uint8_t, 8> first;
  std::copy_n(digest.bytes().begin(), first.size(), reinterpret_cast<char*>(first.data()));
  return LoadLittleEndian(first);
}

}  // namespace muster
