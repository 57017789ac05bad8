#include "aggregation/privacy/hadamard.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kBlock = size_t{1} << 13;  // floats that stay in the fastest cache

// Strides 1, 2 and 4 at once, where a loop over one stride would be too short to vectorise.
void ButterfliesOfEight(float* v) {
  float a[8], b[8];
  for (size_t i = 0; i < 4; ++i) {
    a[i] = v[i] + v[i + 4];
    a[i + 4] = v[i] - v[i + 4];
  }
  for (size_t half = 0; half < 8; half += 4) {
    for (size_t i = half; i < half + 2; ++i) {
      b[i] = a[i] + a[i + 2];
      b[i + 2] = a[i] - a[i + 2];
    }
  }
  for (size_t i = 0; i < 8; i += 2) {
    v[i] = b[i] + b[i + 1];
    v[i + 1] = b[i] - b[i + 1];
  }
}

void Butterflies(float* v, size_t stride) {
  float* const w = v + stride;
  for (size_t i = 0; i < stride; ++i) {
    const float a = v[i], b = w[i];
    v[i] = a + b;
    w[i] = a - b;
  }
}

// Two strides, `quarter` and twice that, in one pass over 4 * quarter values.
void DoubleButterflies(float* v, size_t quarter) {
  float* const v1 = v + quarter;
  float* const v2 = v1 + quarter;
  float* const v3 = v2 + quarter;
  for (size_t i = 0; i < quarter; ++i) {
    const float a = v[i] + v2[i], c = v[i] - v2[i];
    const float b = v1[i] + v3[i], d = v1[i] - v3[i];
    v[i] = a + b;
    v1[i] = a - b;
    v2[i] = c + d;
    v3[i] = c - d;
  }
}

void TransformBlock(float* v, size_t size) {
  size_t stride = 1;
  if (size >= 8) {
    for (size_t i = 0; i < size; i += 8) ButterfliesOfEight(v + i);
    stride = 8;
  }
  for (; stride * 4 <= size; stride *= 4) {
    for (size_t i = 0; i < size; i += stride * 4) DoubleButterflies(v + i, stride);
  }
  for (; stride < size; stride *= 2) {
    for (size_t i = 0; i < size; i += stride * 2) Butterflies(v + i, stride);
  }
}

// Widest strides first, so that the parts that follow fit into the cache.
void Transform(float* v, size_t size) {
  if (size <= kBlock) return TransformBlock(v, size);
  if (size == kBlock * 2) {
    Butterflies(v, size / 2);
    Transform(v, size / 2);
    return Transform(v + size / 2, size / 2);
  }
  DoubleButterflies(v, size / 4);
  for (size_t part = 0; part < 4; ++part) Transform(v + part * (size / 4), size / 4);
}

void ApplySigns(const uint8_t* signs, float factor, std::span<float> values) {
  const float factors[2] = {factor, -factor};
  for (size_t i = 0; i < values.size(); ++i) values[i] *= factors[signs[i / 8] >> (i % 8) & 1];
}

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

// Multiplies each value by `factor` with its random sign.
void FlipAndScale(const Digest& seed, float factor, std::span<float> values) {
  const Digest key = Sha256(StrCat("muster hadamard signs 1", seed.bytes()));
  const std::array<uint8_t, 16> start{};  // block 0, zero nonce
  const std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> stream(EVP_CIPHER_CTX_new());
  const auto* key_bytes = reinterpret_cast<const uint8_t*>(key.bytes().data());
  if (stream == nullptr ||
      EVP_EncryptInit_ex(stream.get(), EVP_chacha20(), nullptr, key_bytes, start.data()) != 1) {
    std::abort();  // without memory, or an OpenSSL without ChaCha20
  }
  constexpr size_t kSignBytes = 4096;
  const std::array<uint8_t, kSignBytes> zeros{};
  std::array<uint8_t, kSignBytes> signs;
  while (!values.empty()) {
    int written = 0;
    if (EVP_EncryptUpdate(stream.get(), signs.data(), &written, zeros.data(), kSignBytes) != 1) {
      std::abort();
    }
    const size_t count = std::min(values.size(), kSignBytes * 8);
    ApplySigns(signs.data(), factor, values.first(count));
    values = values.subspan(count);
  }
}

float Normaliser(size_t size) {
  if (!std::has_single_bit(size)) std::abort();
  return static_cast<float>(1 / std::sqrt(static_cast<double>(size)));
}

}  // namespace

void RandomizedHadamard(const Digest& seed, std::span<float> values) {
  FlipAndScale(seed, Normaliser(values.size()), values);
  Transform(values.data(), values.size());
}

// The transform is its own inverse up to the factor, and so are the signs.
void InverseRandomizedHadamard(const Digest& seed, std::span<float> values) {
  const float factor = Normaliser(values.size());
  Transform(values.data(), values.size());
  FlipAndScale(seed, factor, values);
}

}  // namespace muster
