#include "coordinator/blobs/at_rest/sealed_format.h"

#include <algorithm>
#include <cstdlib>

#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/crypto/aes_gcm.h"
#include "proto/crypto/hkdf.h"

namespace muster {
namespace {

constexpr std::string_view kMagic = "MUSTRST1";
constexpr size_t kNonceBytes = 12;

std::string_view View(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string AssociatedData(uint64_t index, bool last, size_t length) {
  std::string data;
  for (const uint64_t number : {index, uint64_t{length}, uint64_t{last}}) {
    for (int i = 0; i < 8; ++i) data += static_cast<char>(number >> (8 * i));
  }
  return data;
}

}  // namespace

std::string SealedHeader::ToBytes() const { return StrCat(kMagic, View(key), View(salt)); }

absl::StatusOr<SealedHeader> SealedHeader::Parse(std::string_view bytes) {
  if (bytes.size() != kSealedHeaderBytes || !bytes.starts_with(kMagic)) {
    return absl::InvalidArgumentError("these bytes do not begin as sealed ones do");
  }
  SealedHeader header;
  bytes.remove_prefix(kMagic.size());
  std::copy_n(bytes.begin(), header.key.size(), header.key.begin());
  bytes.remove_prefix(header.key.size());
  std::copy_n(bytes.begin(), header.salt.size(), header.salt.begin());
  return header;
}

SealedShape SealedShape::Of(uint64_t sealed_bytes) {
  if (sealed_bytes <= kSealedHeaderBytes) return {};
  const uint64_t body = sealed_bytes - kSealedHeaderBytes;
  const uint64_t whole = body / kSealedSegmentBytes;
  const uint64_t rest = body % kSealedSegmentBytes;
  // An empty segment is the only one of empty plaintext; elsewhere nobody writes one.
  const bool part = rest > kSegmentOverhead || (rest == kSegmentOverhead && whole == 0);
  return {.segments = whole + (part ? 1 : 0),
          .plain_bytes = whole * kSegmentBytes + (part ? rest - kSegmentOverhead : 0)};
}

SealedShape SealedShape::OfPlain(uint64_t plain_bytes) {
  const uint64_t segments = (plain_bytes + kSegmentBytes - 1) / kSegmentBytes;
  return {.segments = std::max<uint64_t>(segments, 1), .plain_bytes = plain_bytes};
}

uint64_t SealedShape::sealed_bytes() const {
  return kSealedHeaderBytes + plain_bytes + segments * kSegmentOverhead;
}

SegmentBox::SegmentBox(const SealedHeader& header, const AtRestKey& key) : header_(header) {
  Hkdf(header.salt, key.span(), "muster/at-rest/1/blob", key_.writable());
}

absl::StatusOr<SegmentBox> SegmentBox::New(const AtRestKeys& keys, RandomSource& random) {
  SealedHeader header{.key = keys.current_id()};
  random.Fill(header.salt);
  return For(keys, header);
}

absl::StatusOr<SegmentBox> SegmentBox::For(const AtRestKeys& keys, const SealedHeader& header) {
  MUSTER_ASSIGN_OR_RETURN(const AtRestKey* key, keys.Find(header.key));
  return SegmentBox(header, *key);
}

void SegmentBox::Seal(uint64_t index, bool last, std::string_view plain, RandomSource& random,
                      std::string& out) const {
  if (plain.size() > kSegmentBytes) std::abort();
  GcmVector nonce;
  static_assert(sizeof(nonce) == kNonceBytes);
  random.Fill(nonce);
  out += View(nonce);
  const size_t begin = out.size();
  out.resize(begin + plain.size() + kGcmTagBytes);
  GcmSeal(key_.span(), nonce, AssociatedData(index, last, plain.size()), Bytes(plain),
          {reinterpret_cast<uint8_t*>(out.data()) + begin, out.size() - begin});
}

absl::Status SegmentBox::Open(uint64_t index, bool last, std::string_view sealed,
                              std::span<char> plain) const {
  if (sealed.size() < kSegmentOverhead || plain.size() != sealed.size() - kSegmentOverhead) {
    return absl::DataLossError(StrCat("sealed segment ", index, " has ", sealed.size(), " bytes"));
  }
  GcmVector nonce;
  std::copy_n(sealed.begin(), kNonceBytes, nonce.begin());
  const bool authentic = GcmOpen(key_.span(), nonce, AssociatedData(index, last, plain.size()),
                                 Bytes(sealed.substr(kNonceBytes)),
                                 {reinterpret_cast<uint8_t*>(plain.data()), plain.size()});
  if (authentic) return absl::OkStatus();
  std::fill(plain.begin(), plain.end(), 0);
  return absl::DataLossError(
      StrCat("sealed segment ", index, " does not verify: it was changed on the disk"));
}

}  // namespace muster
