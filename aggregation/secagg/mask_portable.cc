#include "aggregation/secagg/mask_portable.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "aggregation/secagg/mask_kernels.h"
#include "aggregation/secagg/ring_loops.h"

namespace muster::secagg {
namespace {

// Streams that are open at a time: enough that the vector passes through the cache seldom, few
// enough that opening them costs little memory.
constexpr size_t kStreams = 64;

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
    // The key's first bytes, as many as the cipher takes. OpenSSL makes a context anew whenever it
    // is given a cipher, even the one that it has.
    if (EVP_EncryptInit_ex2(context_, std::exchange(started_, true) ? nullptr : evp,
                            key.span().data(), start.data(), nullptr) != 1) {
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
  bool started_ = false;
};

// Keystream of masks that are added together. Wiped at its end.
struct Buffers {
  ~Buffers() { OPENSSL_cleanse(tiles.data(), sizeof(tiles)); }
  alignas(64) std::array<TileBuffer, std::tuple_size_v<FourParts>> tiles;
};

// Streams of one sign, over one tile.
void ApplyTile(uint32_t bits, std::span<Stream> streams, bool subtract, Buffers& buffers,
               std::span<uint8_t> tile) {
  FourParts parts;
  for (size_t i = 0; i < streams.size(); i += parts.size()) {
    for (size_t j = 0; j < parts.size(); ++j) {
      const bool there = i + j < streams.size();
      if (there) streams[i + j].Next(std::span(buffers.tiles[j]).first(tile.size()));
      parts[j] = there ? buffers.tiles[j].data() : kZeros.data();
    }
    AddFour(bits, tile, parts, subtract);
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
      evp_(std::make_unique<Evp>(cipher)) {
  const auto subtracted = std::partition(masks_.begin(), masks_.end(),
                                         [](const SignedMask& mask) { return !mask.subtract; });
  subtracted_ = static_cast<size_t>(masks_.end() - subtracted);
}

PortableMasks::~PortableMasks() = default;

void PortableMasks::Apply(uint64_t first_group, std::span<uint8_t> groups) const {
  assert(groups.size() % kGroupBytes == 0);
  std::vector<Stream> streams(std::min(kStreams, masks_.size()));
  Buffers buffers;
  for (auto masks = std::span(masks_); !masks.empty();) {
    const bool subtract = masks.front().subtract;
    const size_t of_one_sign = subtract ? masks.size() : masks.size() - subtracted_;
    const auto batch = masks.first(std::min(streams.size(), of_one_sign));
    const auto open = std::span(streams).first(batch.size());
    for (size_t i = 0; i < batch.size(); ++i) {
      open[i].Start(evp_->cipher, cipher_, batch[i].key, first_group * kGroupBytes);
    }
    for (size_t at = 0; at < groups.size(); at += kPortableTileBytes) {
      ApplyTile(bits_, open, subtract, buffers,
                groups.subspan(at, std::min(kPortableTileBytes, groups.size() - at)));
    }
    masks = masks.subspan(batch.size());
  }
}

}  // namespace muster::secagg
