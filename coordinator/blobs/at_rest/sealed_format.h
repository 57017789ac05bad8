// Bytes sealed for the disk (../decisions/03-encryption-at-rest.md):
//
//   header    "MUSTRST1" | id of the key (8) | salt (32)
//   segment   nonce (12) | AES-256-GCM of 64 KiB of plaintext, the last one of less | tag (16)
//
// The key of these bytes is HKDF-SHA256(key, salt = salt, info = "muster/at-rest/1/blob"). A
// segment's associated data is its index, its length, and whether it is the last one: segments
// cannot be moved, swapped, cut or left out at the end. Empty plaintext is one empty segment.
// Nonces are random, so that the last segment of an upload that grows may be sealed again.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/blobs/at_rest/at_rest_keys.h"
#include "proto/core/random.h"

namespace muster {

inline constexpr size_t kSegmentBytes = 64u << 10;  // of plaintext
inline constexpr size_t kSegmentOverhead = 12 + 16;
inline constexpr size_t kSealedSegmentBytes = kSegmentBytes + kSegmentOverhead;
inline constexpr size_t kSealedHeaderBytes = 8 + 8 + 32;

struct SealedHeader {
  AtRestKeyId key;
  std::array<uint8_t, 32> salt;

  std::string ToBytes() const;
  // InvalidArgument for anything but a header's exact bytes.
  static absl::StatusOr<SealedHeader> Parse(std::string_view bytes);
  friend bool operator==(const SealedHeader&, const SealedHeader&) = default;
};

// How much is in `sealed_bytes`, header too: whole segments and the bytes of one that is not full.
// A rest too short for a segment (somebody was cut off while he wrote) counts as nothing.
struct SealedShape {
  uint64_t segments = 0;  // the one that is not full too
  uint64_t plain_bytes = 0;

  static SealedShape Of(uint64_t sealed_bytes);
  static SealedShape OfPlain(uint64_t plain_bytes);  // whole
  uint64_t sealed_bytes() const;
};

// Seals and opens the segments under one header. Thread-safe.
class SegmentBox {
 public:
  // Under the newest key, with a fresh salt.
  static absl::StatusOr<SegmentBox> New(const AtRestKeys& keys, RandomSource& random);
  // FailedPrecondition if the key is not there.
  static absl::StatusOr<SegmentBox> For(const AtRestKeys& keys, const SealedHeader& header);

  const SealedHeader& header() const { return header_; }
  // Appends the sealed segment to `out`. At most kSegmentBytes.
  void Seal(uint64_t index, bool last, std::string_view plain, RandomSource& random,
            std::string& out) const;
  // `plain` has sealed.size() - kSegmentOverhead bytes. DataLoss if it does not verify.
  absl::Status Open(uint64_t index, bool last, std::string_view sealed,
                    std::span<char> plain) const;

 private:
  SegmentBox(const SealedHeader& header, const AtRestKey& key);

  SealedHeader header_;
  AtRestKey key_;  // of these bytes alone
};

}  // namespace muster
