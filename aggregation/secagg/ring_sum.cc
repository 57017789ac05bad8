// The sum of masked vectors. Its binary form, all little-endian:
//
//   offset  bytes  what
//        0      8  "MSTRRING"
//        8      4  version, 1
//       12      4  bits of an element
//       16      8  elements
//       24      8  clients
//       32         the elements
#include "aggregation/secagg/ring_sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <string_view>

#include "aggregation/secagg/ring_loops.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

static_assert(std::endian::native == std::endian::little,
              "headers are written as numbers lie in memory, which must be little-endian");

constexpr std::string_view kMagic = "MSTRRING";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 32;
constexpr size_t kPieceBytes = 256u << 10;  // handed over at once

struct Header {
  uint32_t bits = 0;
  uint64_t length = 0, clients = 0;
};

template <typename T>
void Store(T value, char* at) {
  std::memcpy(at, &value, sizeof(value));
}

template <typename T>
T Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

std::array<char, kHeaderBytes> EncodeHeader(const Header& header) {
  std::array<char, kHeaderBytes> bytes;
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  Store<uint32_t>(kVersion, &bytes[8]);
  Store(header.bits, &bytes[12]);
  Store(header.length, &bytes[16]);
  Store(header.clients, &bytes[24]);
  return bytes;
}

template <typename... Parts>
absl::Status Malformed(const Parts&... parts) {
  return absl::InvalidArgumentError(StrCat("not a sum of masked vectors: ", parts...));
}

// `bits` and `length` come from the round, not from the bytes: no header can make the reader
// reserve more memory.
absl::StatusOr<Header> DecodeHeader(std::span<const char, kHeaderBytes> bytes, uint32_t bits,
                                    uint64_t length) {
  if (std::string_view(bytes.data(), kMagic.size()) != kMagic) {
    return Malformed("it does not start with ", kMagic);
  }
  if (const auto version = Load<uint32_t>(&bytes[8]); version != kVersion) {
    return Malformed("version ", version, ", where this program reads version ", kVersion);
  }
  const Header header{.bits = Load<uint32_t>(&bytes[12]),
                      .length = Load<uint64_t>(&bytes[16]),
                      .clients = Load<uint64_t>(&bytes[24])};
  if (header.bits != bits) {
    return Malformed("elements of ", header.bits, " bits, where ", bits, " are due");
  }
  if (header.length != length) {
    return Malformed(header.length, " elements, where ", length, " are due");
  }
  if (header.clients > limits::kMaxSecAggClients) {
    return Malformed(header.clients, " clients, above the limit of ", limits::kMaxSecAggClients);
  }
  return header;
}

// Fills `bytes` from the source, which may give them in any pieces.
absl::Status ReadExactly(const ByteSource& source, std::span<char> bytes) {
  while (!bytes.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const size_t n, source(bytes));
    if (n == 0) return Malformed("it ends early");
    if (n > bytes.size()) return absl::InternalError("a byte source overran its buffer");
    bytes = bytes.subspan(n);
  }
  return absl::OkStatus();
}

bool AllZero(std::span<const uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

}  // namespace

RingSum::RingSum(uint32_t ring_bits, uint64_t length)
    : bits_(ring_bits), bytes_(length * (ring_bits / 8), 0) {
  assert(ring_bits == 16 || ring_bits == 32 || ring_bits == 64);
}

uint64_t RingSum::length() const { return bytes_.size() / (bits_ / 8); }

void RingSum::AddChunk(uint64_t offset, std::span<const uint8_t> chunk) {
  assert(offset % (bits_ / 8) == 0 && chunk.size() % (bits_ / 8) == 0);
  assert(offset <= bytes_.size() && chunk.size() <= bytes_.size() - offset);
  AddElements(bits_, std::span(bytes_).subspan(offset, chunk.size()), chunk);
}

absl::Status RingSum::MergeFrom(const RingSum& other) {
  if (other.bits_ != bits_ || other.bytes_.size() != bytes_.size()) {
    return absl::InvalidArgumentError(StrCat("a partial sum of ", other.length(), " elements of ",
                                             other.bits_, " bits cannot join one of ", length(),
                                             " elements of ", bits_, " bits"));
  }
  AddElements(bits_, bytes_, other.bytes_);
  clients_ += other.clients_;
  return absl::OkStatus();
}

int64_t RingSum::Element(uint64_t index) const {
  assert(index < length());
  return LoadElement(bits_, &bytes_[index * (bits_ / 8)]);
}

absl::Status RingSum::WriteTo(const ByteSink& sink) const {
  const auto header = EncodeHeader({.bits = bits_, .length = length(), .clients = clients_});
  MUSTER_RETURN_IF_ERROR(sink({header.data(), header.size()}));
  for (size_t begin = 0; begin < bytes_.size(); begin += kPieceBytes) {
    const size_t n = std::min(kPieceBytes, bytes_.size() - begin);
    MUSTER_RETURN_IF_ERROR(sink({reinterpret_cast<const char*>(&bytes_[begin]), n}));
  }
  return absl::OkStatus();
}

absl::Status RingSum::MergeStream(const ByteSource& source) {
  std::array<char, kHeaderBytes> header_bytes;
  MUSTER_RETURN_IF_ERROR(ReadExactly(source, header_bytes));
  MUSTER_ASSIGN_OR_RETURN(const Header header, DecodeHeader(header_bytes, bits_, length()));
  std::vector<uint8_t> buffer(std::min(kPieceBytes, bytes_.size()));
  for (size_t begin = 0; begin < bytes_.size(); begin += kPieceBytes) {
    const std::span<uint8_t> piece =
        std::span(buffer).first(std::min(kPieceBytes, bytes_.size() - begin));
    MUSTER_RETURN_IF_ERROR(
        ReadExactly(source, {reinterpret_cast<char*>(piece.data()), piece.size()}));
    if (header.clients == 0 && !AllZero(piece)) return Malformed("no clients, yet it is not zero");
    AddElements(bits_, std::span(bytes_).subspan(begin, piece.size()), piece);
  }
  char extra;
  MUSTER_ASSIGN_OR_RETURN(const size_t trailing, source({&extra, 1}));
  if (trailing != 0) return Malformed("bytes follow the last element");
  clients_ += header.clients;
  return absl::OkStatus();
}

absl::StatusOr<RingSum> RingSum::ReadFrom(const ByteSource& source, uint32_t expected_bits,
                                          uint64_t expected_length) {
  RingSum sum(expected_bits, expected_length);
  MUSTER_RETURN_IF_ERROR(sum.MergeStream(source));
  return sum;
}

}  // namespace muster::secagg
