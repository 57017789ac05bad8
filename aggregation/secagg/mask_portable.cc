#include "aggregation/secagg/mask_portable.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>
#include <utility>

#include "aggregation/secagg/mask_kernels.h"
#include "aggregation/secagg/ring_loops.h"

namespace muster::secagg {
namespace {

// Streams that are open at a time: enough that the vector passes through the cache seldom, few
// enough that opening them costs little memory.
constexpr size_t kStreams = 32;

const char* EvpName(MaskCipher cipher) {
  switch (cipher) {
    case MaskCipher::kAes128Ctr:
      return "AES-128-CTR";
    case MaskCipher::kAes256Ctr:
      return "AES-256-CTR";
    case MaskCipher::kChaCha20:
      return "ChaCha20";
  }
  std::abort();
}

// EVP's initialization vector for the keystream from byte `offset` on: for AES the counter block
// (SP 800-38A, big endian), for ChaCha20 the block number in 32 bits, little endian, then the nonce
// (RFC 8439), which is 0.
std::array<uint8_t, 16> StartVector(MaskCipher cipher, uint64_t offset) {
  std::array<uint8_t, 16> start{};
  if (cipher == MaskCipher::kChaCha20) {
    for (size_t i = 0; i < 4; ++i) start[i] = static_cast<uint8_t>((offset / 64) >> (8 * i));
  } else {
    for (size_t i = 0; i < 8; ++i) start[15 - i] = static_cast<uint8_t>((offset / 16) >> (8 * i));
  }
  return start;
}

using TileBuffer = std::array<uint8_t, kPortableTileBytes>;
alignas(64) constexpr TileBuffer kZeros{};

// One keystream in order.
class Stream {
 public:
  Stream() : context_(EVP_CIPHER_CTX_new()) {
    if (context_ == nullptr) std::abort();  // out of memory
  }
  ~Stream() { EVP_CIPHER_CTX_free(context_); }  // wipes
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void Start(const EVP_CIPHER* evp, MaskCipher cipher, const MaskKey& key, uint64_t offset) {
    const auto start = StartVector(cipher, offset);
    // The key's first bytes, as many as the cipher takes.
    if (EVP_EncryptInit_ex2(context_, evp, key.span().data(), start.data(), nullptr) != 1) {
      std::abort();  // the cipher was fetched, so this is no memory
    }
  }

  void Next(std::span<uint8_t> out) {
    assert(out.size() <= kZeros.size());
    int written = 0;
    const int size = static_cast<int>(out.size());
    if (EVP_EncryptUpdate(context_, out.data(), &written, kZeros.data(), size) != 1 ||
        written != size) {
      std::abort();
    }
  }

 private:
  EVP_CIPHER_CTX* context_;
};

// Keystream of two masks. Wiped at its end.
struct Buffers {
  ~Buffers() { OPENSSL_cleanse(this, sizeof(*this)); }
  alignas(64) TileBuffer a, b;
};

// streams[i] is batch[i]'s.
void ApplyTile(uint32_t bits, std::span<const SignedMask> batch, std::span<Stream> streams,
               Buffers& buffers, std::span<uint8_t> tile) {
  const auto a = std::span(buffers.a).first(tile.size());
  const auto b = std::span(buffers.b).first(tile.size());
  size_t i = 0;
  for (; i + 2 <= batch.size(); i += 2) {
    streams[i].Next(a);
    streams[i + 1].Next(b);
    AddSigned(bits, tile, {a, batch[i].subtract}, {b, batch[i + 1].subtract});
  }
  if (i < batch.size()) {
    streams[i].Next(a);
    AddSigned(bits, tile, {a, batch[i].subtract}, {std::span(kZeros).first(tile.size())});
  }
}

}  // namespace

struct PortableMasks::Evp {
  explicit Evp(MaskCipher cipher) : cipher(EVP_CIPHER_fetch(nullptr, EvpName(cipher), nullptr)) {
    if (this->cipher == nullptr) std::abort();  // OpenSSL's default provider has all three
  }
  ~Evp() { EVP_CIPHER_free(cipher); }
  Evp(const Evp&) = delete;
  Evp& operator=(const Evp&) = delete;

  EVP_CIPHER* cipher;
};

PortableMasks::PortableMasks(MaskCipher cipher, uint32_t ring_bits, std::vector<SignedMask> masks)
    : cipher_(cipher),
      bits_(ring_bits),
      masks_(std::move(masks)),
      evp_(std::make_unique<Evp>(cipher)) {}

PortableMasks::~PortableMasks() = default;

void PortableMasks::Apply(uint64_t first_group, std::span<uint8_t> groups) const {
  assert(groups.size() % kGroupBytes == 0);
  const uint64_t offset = first_group * kGroupBytes;
  std::vector<Stream> streams(std::min(kStreams, masks_.size()));
  Buffers buffers;
  for (size_t begin = 0; begin < masks_.size(); begin += streams.size()) {
    const size_t n = std::min(streams.size(), masks_.size() - begin);
    const auto batch = std::span(masks_).subspan(begin, n);
    for (size_t i = 0; i < n; ++i) streams[i].Start(evp_->cipher, cipher_, batch[i].key, offset);
    for (size_t at = 0; at < groups.size(); at += kPortableTileBytes) {
      ApplyTile(bits_, batch, streams, buffers,
                groups.subspan(at, std::min(kPortableTileBytes, groups.size() - at)));
    }
  }
}

}  // namespace muster::secagg
