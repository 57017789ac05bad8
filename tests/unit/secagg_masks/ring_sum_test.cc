#include "aggregation/secagg/ring_sum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/core/limits.h"
#include "proto/core/strings.h"
#include "tests/unit/secagg_masks/masks.h"

namespace muster::secagg {
namespace {

using ::testing::HasSubstr;

std::string Serialize(const RingSum& sum) {
  std::string bytes;
  EXPECT_TRUE(sum.WriteTo([&bytes](std::string_view piece) {
                   bytes.append(piece);
                   return absl::OkStatus();
                 })
                  .ok());
  return bytes;
}

ByteSource InPieces(std::string_view bytes, size_t piece) {
  return [bytes, piece](std::span<char> buffer) mutable -> absl::StatusOr<size_t> {
    const size_t n = std::min({piece, buffer.size(), bytes.size()});
    std::copy_n(bytes.begin(), n, buffer.begin());
    bytes.remove_prefix(n);
    return n;
  };
}

std::string RefusalOf(std::string_view bytes, uint32_t bits, uint64_t length) {
  const auto sum = RingSum::ReadFrom(InPieces(bytes, 1000), bits, length);
  EXPECT_EQ(sum.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(StdView(sum.status().message()));
}

template <typename T>
std::string With(std::string bytes, size_t offset, T value) {
  std::memcpy(&bytes[offset], &value, sizeof(value));
  return bytes;
}

RingSum Sample(uint32_t bits, uint64_t length, uint64_t seed, uint64_t clients = 3) {
  SeededRandom random(seed);
  RingSum sum(bits, length);
  for (uint64_t i = 0; i < clients; ++i) {
    sum.AddChunk(0, RandomBytes(length * bits / 8, random));
    sum.FinishClient();
  }
  return sum;
}

TEST(RingSum, AdditionWraps) {
  for (const uint32_t bits : kAllBits) {
    RingSum sum(bits, 2);
    std::vector<uint8_t> ones(bits / 4, 0xff);  // -1
    sum.AddChunk(0, ones);
    EXPECT_EQ(sum.Element(0), -1);
    std::vector<uint8_t> largest(bits / 8, 0xff);  // 2^(b-1) - 1
    largest.back() = 0x7f;
    sum.AddChunk(bits / 8, largest);
    sum.AddChunk(bits / 8, largest);
    EXPECT_EQ(sum.Element(1), -3);  // -1 + 2^b - 2
    EXPECT_EQ(sum.Element(0), -1);
  }
}

TEST(RingSum, OrderChunksAndTreesDoNotMatter) {
  for (const uint32_t bits : kAllBits) {
    const uint64_t length = 10'001;
    const size_t element = bits / 8;
    SeededRandom random(bits);
    std::vector<std::vector<uint8_t>> clients;
    for (int i = 0; i < 7; ++i) clients.push_back(RandomBytes(length * element, random));

    RingSum forward(bits, length), backward(bits, length), left(bits, length), right(bits, length);
    for (size_t i = 0; i < clients.size(); ++i) {
      forward.AddChunk(0, clients[i]);
      forward.FinishClient();
      const auto& last = clients[clients.size() - 1 - i];
      for (size_t at = 0; at < last.size();) {
        const size_t n = std::min<size_t>(element * random.Below(3000), last.size() - at);
        backward.AddChunk(at, std::span(last).subspan(at, n));
        at += n;
      }
      backward.FinishClient();
      RingSum& half = i % 3 == 0 ? left : right;
      half.AddChunk(0, clients[i]);
      half.FinishClient();
    }
    ASSERT_TRUE(right.MergeFrom(left).ok());
    EXPECT_EQ(forward.clients(), 7u);
    EXPECT_EQ(backward, forward);
    EXPECT_EQ(right, forward);
    EXPECT_EQ(Serialize(right), Serialize(forward));
  }
}

TEST(RingSum, OnlySumsOfOneKindMerge) {
  RingSum sum = Sample(32, 10, 1);
  const RingSum before = sum;
  EXPECT_EQ(sum.MergeFrom(Sample(32, 11, 2)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(sum.MergeFrom(Sample(64, 10, 2)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(sum.MergeFrom(Sample(64, 5, 2)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(sum, before);
}

TEST(RingSum, MasksThatCancelLeaveTheSum) {
  for (const MaskCipher cipher : kAllCiphers) {
    const uint64_t length = 5000;
    RingSum plain(32, length), masked(32, length);
    SeededRandom random(1);
    for (int i = 0; i < 2; ++i) {
      std::vector<uint8_t> vector = RandomBytes(length * 4, random);
      plain.AddChunk(0, vector);
      std::vector<SignedMask> masks = RandomMasks(3, 77);
      for (SignedMask& mask : masks) mask.subtract = mask.subtract == (i == 0);
      MaskSet(cipher, 32, std::move(masks)).Apply(0, vector);
      masked.AddChunk(0, vector);
    }
    EXPECT_EQ(masked, plain);
  }
}

TEST(RingSumBytes, RoundTripInAnyPieces) {
  for (const uint32_t bits : kAllBits) {
    for (const uint64_t length : {0u, 1u, 3u, 32'768u, 100'001u}) {
      const RingSum sum = Sample(bits, length, length + 1);
      const std::string bytes = Serialize(sum);
      EXPECT_EQ(bytes.size(), 32 + length * bits / 8);
      for (const size_t piece : {7u, 4096u, 1'000'000u}) {
        EXPECT_EQ(RingSum::ReadFrom(InPieces(bytes, piece), bits, length).value(), sum);
      }
    }
  }
  EXPECT_EQ(RingSum::ReadFrom(InPieces(Serialize(RingSum(16, 5)), 100), 16, 5).value(),
            RingSum(16, 5));
}

TEST(RingSumBytes, AreTheDocumentedFormat) {
  RingSum sum(16, 2);
  sum.AddChunk(0, std::vector<uint8_t>{1, 2, 3, 4});
  sum.FinishClient();
  EXPECT_EQ(Serialize(sum), std::string("MSTRRING") + std::string("\x01\0\0\0", 4) +
                                std::string("\x10\0\0\0", 4) +
                                std::string("\x02\0\0\0\0\0\0\0", 8) +
                                std::string("\x01\0\0\0\0\0\0\0", 8) + "\x01\x02\x03\x04");
}

TEST(RingSumBytes, EverythingElseIsRefused) {
  const std::string good = Serialize(Sample(32, 10, 1));
  EXPECT_THAT(RefusalOf(With(good, 0, 'X'), 32, 10), HasSubstr("start with MSTRRING"));
  EXPECT_THAT(RefusalOf(With(good, 8, uint32_t{2}), 32, 10), HasSubstr("version 2"));
  EXPECT_THAT(RefusalOf(good, 64, 10), HasSubstr("32 bits, where 64"));
  EXPECT_THAT(RefusalOf(good, 32, 11), HasSubstr("10 elements, where 11"));
  EXPECT_THAT(RefusalOf(With(good, 16, ~uint64_t{0}), 32, 10), HasSubstr("where 10"));
  EXPECT_THAT(RefusalOf(With(good, 24, ~uint64_t{0}), 32, 10), HasSubstr("clients"));
  EXPECT_THAT(RefusalOf(With(good, 24, uint64_t{limits::kMaxSecAggClients} + 1), 32, 10),
              HasSubstr("above the limit"));
  EXPECT_THAT(RefusalOf(With(good, 24, uint64_t{0}), 32, 10), HasSubstr("not zero"));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_THAT(RefusalOf(good.substr(0, size), 32, 10), HasSubstr("ends early"));
  }
  EXPECT_THAT(RefusalOf(good + '\0', 32, 10), HasSubstr("bytes follow"));
}

TEST(RingSumBytes, ErrorsOfTheSourceAndTheSinkComeBack) {
  const auto fails = [](std::span<char>) -> absl::StatusOr<size_t> {
    return absl::DataLossError("disk");
  };
  EXPECT_EQ(RingSum::ReadFrom(fails, 32, 10).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(
      RingSum(32, 10).WriteTo([](std::string_view) { return absl::AbortedError("full"); }).code(),
      absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace muster::secagg
