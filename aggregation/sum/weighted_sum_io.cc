// The binary form of a weighted sum.
//
//   offset  bytes  what
//        0      8  "MSTRWSUM"
//        8      4  version, 1
//       12      4  fraction bits of a lane, 24
//       16      8  parameters
//       24      8  total weight
//       32      8  clients
//       40      8  for each parameter, its lane as a signed integer
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "aggregation/sum/lanes.h"
#include "aggregation/sum/weighted_sum.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

static_assert(std::endian::native == std::endian::little,
              "lanes are written as they lie in memory, which must be little-endian");

constexpr std::string_view kMagic = "MSTRWSUM";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 40;
constexpr size_t kPieceLanes = (256u << 10) / sizeof(int64_t);  // handed over at once

struct Header {
  uint64_t size = 0, total_weight = 0, clients = 0;
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
  Store<uint32_t>(lanes::kFractionBits, &bytes[12]);
  Store(header.size, &bytes[16]);
  Store(header.total_weight, &bytes[24]);
  Store(header.clients, &bytes[32]);
  return bytes;
}

template <typename... Parts>
absl::Status Malformed(const Parts&... parts) {
  return absl::InvalidArgumentError(StrCat("not a weighted sum: ", parts...));
}

absl::StatusOr<Header> DecodeHeader(std::span<const char, kHeaderBytes> bytes) {
  if (std::string_view(bytes.data(), kMagic.size()) != kMagic) {
    return Malformed("it does not start with ", kMagic);
  }
  if (const auto version = Load<uint32_t>(&bytes[8]); version != kVersion) {
    return Malformed("version ", version, ", where this program reads version ", kVersion);
  }
  if (const auto bits = Load<uint32_t>(&bytes[12]); bits != lanes::kFractionBits) {
    return Malformed("lanes of ", bits, " fraction bits, where ", lanes::kFractionBits, " are due");
  }
  const Header header{.size = Load<uint64_t>(&bytes[16]),
                      .total_weight = Load<uint64_t>(&bytes[24]),
                      .clients = Load<uint64_t>(&bytes[32])};
  if (header.size > limits::kMaxParameters) {
    return Malformed(header.size, " parameters, above the limit of ", limits::kMaxParameters);
  }
  if (header.total_weight > kMaxTotalWeight) {
    return Malformed("total weight ", header.total_weight, ", above the limit of ",
                     kMaxTotalWeight);
  }
  // Every client has at least weight 1.
  if (header.clients > header.total_weight || (header.clients == 0 && header.total_weight > 0)) {
    return Malformed(header.clients, " clients with a total weight of ", header.total_weight);
  }
  return header;
}

// No lane can hold more than every client's largest value.
absl::Status CheckLanes(std::span<const int64_t> lanes, uint64_t offset, const Header& header) {
  const uint64_t limit =
      header.total_weight * (static_cast<uint64_t>(kMaxDelta) << lanes::kFractionBits);
  const size_t bad = lanes::FindAbove(lanes, limit);
  if (bad == lanes.size()) return absl::OkStatus();
  return Malformed("lane ", offset + bad, " holds ", lanes[bad], ", beyond what a total weight of ",
                   header.total_weight, " allows");
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

std::span<char> BytesOf(std::span<int64_t> lanes) {
  return {reinterpret_cast<char*>(lanes.data()), lanes.size_bytes()};
}

// Reads one stored sum from front to back, strictly.
class StoredSum {
 public:
  static absl::StatusOr<StoredSum> Open(const ByteSource& source, uint64_t expected_size) {
    std::array<char, kHeaderBytes> bytes;
    MUSTER_RETURN_IF_ERROR(ReadExactly(source, bytes));
    MUSTER_ASSIGN_OR_RETURN(const Header header, DecodeHeader(bytes));
    if (header.size == expected_size) return StoredSum(source, header);
    return Malformed(header.size, " parameters, where ", expected_size, " are due");
  }

  const Header& header() const { return header_; }
  absl::Status NextLanes(std::span<int64_t> lanes) {
    MUSTER_RETURN_IF_ERROR(ReadExactly(*source_, BytesOf(lanes)));
    MUSTER_RETURN_IF_ERROR(CheckLanes(lanes, offset_, header_));
    offset_ += lanes.size();
    return absl::OkStatus();
  }
  absl::Status CheckEnd() const {
    char extra;
    MUSTER_ASSIGN_OR_RETURN(const size_t trailing, (*source_)({&extra, 1}));
    return trailing == 0 ? absl::OkStatus() : Malformed("bytes follow the last lane");
  }

 private:
  StoredSum(const ByteSource& source, const Header& header) : source_(&source), header_(header) {}

  const ByteSource* source_;
  Header header_;
  uint64_t offset_ = 0;  // lanes
};

}  // namespace

uint64_t WeightedSum::SerializedSize() const { return kHeaderBytes + size() * sizeof(int64_t); }

absl::Status WeightedSum::WriteTo(const ByteSink& sink) const {
  const auto header =
      EncodeHeader({.size = size(), .total_weight = total_weight_, .clients = clients_});
  MUSTER_RETURN_IF_ERROR(sink({header.data(), header.size()}));
  for (size_t begin = 0; begin < lanes_.size(); begin += kPieceLanes) {
    const size_t n = std::min(kPieceLanes, lanes_.size() - begin);
    MUSTER_RETURN_IF_ERROR(
        sink({reinterpret_cast<const char*>(&lanes_[begin]), n * sizeof(int64_t)}));
  }
  return absl::OkStatus();
}

absl::Status WeightedSum::MergeStream(const ByteSource& source) {
  MUSTER_ASSIGN_OR_RETURN(StoredSum stored, StoredSum::Open(source, size()));
  const Header& header = stored.header();
  if (header.clients > 0) MUSTER_RETURN_IF_ERROR(CanAdd(header.total_weight));
  std::vector<int64_t> buffer(std::min(kPieceLanes, lanes_.size()));
  for (size_t begin = 0; begin < lanes_.size(); begin += kPieceLanes) {
    const size_t n = std::min(kPieceLanes, lanes_.size() - begin);
    const std::span<int64_t> piece = std::span(buffer).first(n);
    MUSTER_RETURN_IF_ERROR(stored.NextLanes(piece));
    lanes::AddLanes(std::span(lanes_).subspan(begin, n), piece);
  }
  MUSTER_RETURN_IF_ERROR(stored.CheckEnd());
  total_weight_ += header.total_weight;
  clients_ += header.clients;
  return absl::OkStatus();
}

absl::StatusOr<WeightedSum> WeightedSum::ReadFrom(const ByteSource& source,
                                                  uint64_t expected_size) {
  WeightedSum sum(expected_size);
  MUSTER_RETURN_IF_ERROR(sum.MergeStream(source));
  return sum;
}

std::string WeightedSum::Serialize() const {
  std::string bytes;
  bytes.reserve(SerializedSize());
  // A string takes every piece, so this cannot fail.
  WriteTo([&bytes](std::string_view piece) {
    bytes.append(piece);
    return absl::OkStatus();
  }).IgnoreError();
  return bytes;
}

absl::StatusOr<WeightedSum> WeightedSum::Parse(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || (bytes.size() - kHeaderBytes) % sizeof(int64_t) != 0) {
    return Malformed(bytes.size(), " bytes are not a header and whole lanes");
  }
  const uint64_t expected_size = (bytes.size() - kHeaderBytes) / sizeof(int64_t);
  const ByteSource source = [&bytes](std::span<char> buffer) -> absl::StatusOr<size_t> {
    const size_t n = std::min(buffer.size(), bytes.size());
    std::copy_n(bytes.begin(), n, buffer.begin());
    bytes.remove_prefix(n);
    return n;
  };
  return ReadFrom(source, expected_size);
}

absl::Status MeanOfParts(std::span<const ByteSource> parts, std::span<float> out) {
  std::vector<StoredSum> stored;
  uint64_t total_weight = 0;
  for (const ByteSource& part : parts) {
    MUSTER_ASSIGN_OR_RETURN(StoredSum opened, StoredSum::Open(part, out.size()));
    total_weight += opened.header().total_weight;
    if (total_weight > kMaxTotalWeight) {
      return absl::OutOfRangeError(
          StrCat("the parts of a sum have a total weight above the limit of ", kMaxTotalWeight,
                 ": lower the examples per update or the clients per round"));
    }
    stored.push_back(std::move(opened));
  }
  if (total_weight == 0) {
    return absl::FailedPreconditionError("there is no mean: the parts hold no updates");
  }
  std::vector<int64_t> sums(std::min(kPieceLanes, out.size())), addends(sums.size());
  for (size_t begin = 0; begin < out.size(); begin += kPieceLanes) {
    const size_t n = std::min(kPieceLanes, out.size() - begin);
    const std::span<int64_t> sum = std::span(sums).first(n), addend = std::span(addends).first(n);
    std::ranges::fill(sum, 0);
    for (StoredSum& part : stored) {
      MUSTER_RETURN_IF_ERROR(part.NextLanes(addend));
      lanes::AddLanes(sum, addend);
    }
    lanes::Mean(sum, total_weight, out.subspan(begin, n));
  }
  for (const StoredSum& part : stored) MUSTER_RETURN_IF_ERROR(part.CheckEnd());
  return absl::OkStatus();
}

}  // namespace muster
