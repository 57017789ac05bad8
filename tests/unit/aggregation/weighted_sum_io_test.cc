#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "aggregation/sum/weighted_sum.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

WeightedSum Sample(size_t size = 3) {
  WeightedSum sum(size);
  std::vector<float> delta(size);
  for (size_t i = 0; i < size; ++i)
    delta[i] = (i % 2 == 0 ? 0.001f : -1.5f) * static_cast<float>(i);
  EXPECT_TRUE(sum.Add(std::vector<float>(size, 1.0f), 2).ok());
  for (float& d : delta) d = std::max(-1024.0f, std::min(1024.0f, d));
  EXPECT_TRUE(sum.Add(delta, 600).ok());
  return sum;
}

template <typename T>
std::string With(std::string bytes, size_t offset, T value) {
  std::memcpy(&bytes[offset], &value, sizeof(value));
  return bytes;
}

std::string ErrorOf(std::string_view bytes) {
  const auto sum = WeightedSum::Parse(bytes);
  EXPECT_EQ(sum.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(StdView(sum.status().message()));
}

// Gives `bytes` in pieces of `piece`, as a file or socket might.
ByteSource InPieces(std::string_view bytes, size_t piece) {
  return [bytes, piece](std::span<char> buffer) mutable -> absl::StatusOr<size_t> {
    const size_t n = std::min({piece, buffer.size(), bytes.size()});
    std::copy_n(bytes.begin(), n, buffer.begin());
    bytes.remove_prefix(n);
    return n;
  };
}

TEST(WeightedSumBytes, RoundTrip) {
  for (size_t size : {0u, 1u, 3u, 32768u, 32769u, 100'000u}) {
    const WeightedSum sum = Sample(size);
    const std::string bytes = sum.Serialize();
    EXPECT_EQ(bytes.size(), sum.SerializedSize());
    EXPECT_EQ(WeightedSum::Parse(bytes).value(), sum);
  }
  EXPECT_EQ(WeightedSum::Parse(WeightedSum(5).Serialize()).value(), WeightedSum(5));
}

TEST(WeightedSumBytes, AreTheDocumentedFormat) {
  WeightedSum sum(2);
  ASSERT_TRUE(sum.Add(std::vector<float>{1.0f, -0x1p-24f}, 3).ok());
  const std::string expected =
      std::string("MSTRWSUM") + std::string("\x01\0\0\0", 4) + std::string("\x18\0\0\0", 4) +
      std::string("\x02\0\0\0\0\0\0\0", 8) + std::string("\x03\0\0\0\0\0\0\0", 8) +
      std::string("\x01\0\0\0\0\0\0\0", 8) + std::string("\0\0\0\x03\0\0\0\0", 8) +
      std::string("\xfd\xff\xff\xff\xff\xff\xff\xff", 8);
  EXPECT_EQ(sum.Serialize(), expected);
}

TEST(WeightedSumBytes, StreamInAnyPiecesIsTheSame) {
  const WeightedSum sum = Sample(40'000);
  std::string bytes;
  size_t largest = 0;
  ASSERT_TRUE(sum.WriteTo([&](std::string_view piece) {
                   largest = std::max(largest, piece.size());
                   bytes.append(piece);
                   return absl::OkStatus();
                 })
                  .ok());
  EXPECT_EQ(bytes, sum.Serialize());
  EXPECT_LE(largest, 256u << 10);
  for (size_t piece : {1u, 7u, 4096u, 1u << 20}) {
    EXPECT_EQ(WeightedSum::ReadFrom(InPieces(bytes, piece), 40'000).value(), sum) << piece;
  }
}

TEST(WeightedSumBytes, ErrorsOfSinkAndSourcePassThrough) {
  const absl::Status full = absl::ResourceExhaustedError("disk full");
  EXPECT_EQ(Sample().WriteTo([&](std::string_view) { return full; }), full);
  const absl::Status lost = absl::UnavailableError("store away");
  EXPECT_EQ(
      WeightedSum::ReadFrom([&](std::span<char>) -> absl::StatusOr<size_t> { return lost; }, 3)
          .status(),
      lost);
}

TEST(WeightedSumBytes, EveryTruncationAndAnyTrailingByteIsRefused) {
  const std::string bytes = Sample().Serialize();
  for (size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(WeightedSum::Parse(bytes.substr(0, n)).ok()) << n;
    EXPECT_FALSE(WeightedSum::ReadFrom(InPieces(bytes.substr(0, n), 5), 3).ok()) << n;
  }
  EXPECT_FALSE(WeightedSum::Parse(bytes + "x").ok());
  EXPECT_FALSE(WeightedSum::Parse(bytes + std::string(8, '\0')).ok());
  const auto trailing = WeightedSum::ReadFrom(InPieces(bytes + "x", 5), 3);
  EXPECT_THAT(StdView(trailing.status().message()), HasSubstr("bytes follow"));
}

TEST(WeightedSumBytes, AHeaderThatNoSumWritesIsRefused) {
  const std::string bytes = Sample().Serialize();
  EXPECT_THAT(ErrorOf(With(bytes, 0, 'X')), HasSubstr("MSTRWSUM"));
  EXPECT_THAT(ErrorOf(With<uint32_t>(bytes, 8, 2)), HasSubstr("version 2"));
  EXPECT_THAT(ErrorOf(With<uint32_t>(bytes, 12, 16)), HasSubstr("16 fraction bits"));
  EXPECT_THAT(ErrorOf(With<uint64_t>(bytes, 16, 4)), HasSubstr("4 parameters"));
  EXPECT_THAT(ErrorOf(With<uint64_t>(bytes, 16, ~0ull)), HasSubstr("limit"));
  EXPECT_THAT(ErrorOf(With<uint64_t>(bytes, 24, kMaxTotalWeight + 1)), HasSubstr("total weight"));
  EXPECT_THAT(ErrorOf(With<uint64_t>(bytes, 32, 0)), HasSubstr("0 clients"));
  EXPECT_THAT(ErrorOf(With<uint64_t>(bytes, 32, 603)), HasSubstr("603 clients"));
}

TEST(WeightedSumBytes, ALaneBeyondItsWeightIsRefused) {
  const std::string bytes = Sample().Serialize();
  const int64_t limit = 602ll << 34;
  EXPECT_TRUE(WeightedSum::Parse(With<int64_t>(bytes, 48, limit)).ok());
  EXPECT_TRUE(WeightedSum::Parse(With<int64_t>(bytes, 48, -limit)).ok());
  EXPECT_THAT(ErrorOf(With<int64_t>(bytes, 48, limit + 1)), HasSubstr("lane 1"));
  EXPECT_THAT(ErrorOf(With<int64_t>(bytes, 48, INT64_MIN)), HasSubstr("lane 1"));
  // An empty sum has nothing in its lanes.
  EXPECT_FALSE(WeightedSum::Parse(With<int64_t>(WeightedSum(2).Serialize(), 40, 1)).ok());
}

TEST(WeightedSumBytes, ReaderRefusesAnotherSizeBeforeItReserves) {
  const std::string huge = With<uint64_t>(Sample().Serialize(), 16, 1ull << 30);
  const auto sum = WeightedSum::ReadFrom(InPieces(huge, 100), 3);
  EXPECT_THAT(StdView(sum.status().message()), HasSubstr("where 3 are due"));
}

TEST(MeanOfParts, IsTheMeanOfTheMergedSum) {
  for (size_t size : {0u, 1u, 32768u, 70'001u}) {
    WeightedSum merged = Sample(size), other(size);
    EXPECT_TRUE(other.Add(std::vector<float>(size, -0.25f), 77).ok());
    EXPECT_TRUE(merged.MergeFrom(other).ok());
    const std::string first = Sample(size).Serialize(), second = other.Serialize(),
                      nobody = WeightedSum(size).Serialize();
    const std::vector<ByteSource> parts = {InPieces(first, 4099), InPieces(nobody, 1 << 20),
                                           InPieces(second, 13)};
    std::vector<float> expected(size), mean(size);
    EXPECT_TRUE(merged.Mean(expected).ok());
    EXPECT_TRUE(MeanOfParts(parts, mean).ok());
    EXPECT_EQ(mean, expected);
  }
}

absl::Status MeanOf(const std::vector<std::string>& stored, size_t size) {
  std::vector<ByteSource> parts;
  for (const std::string& bytes : stored) parts.push_back(InPieces(bytes, 5));
  std::vector<float> mean(size);
  return MeanOfParts(parts, mean);
}

TEST(MeanOfParts, RefusesWhatReadingOneSumRefuses) {
  const std::string good = Sample().Serialize();
  ASSERT_TRUE(MeanOf({good, good}, 3).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(MeanOf({good}, 4)));
  for (size_t n = 0; n < good.size(); ++n) {
    EXPECT_TRUE(absl::IsInvalidArgument(MeanOf({good, good.substr(0, n)}, 3))) << n;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(MeanOf({good + "x", good}, 3)));
  EXPECT_TRUE(absl::IsInvalidArgument(MeanOf({good, With<int64_t>(good, 48, INT64_MIN)}, 3)));
}

TEST(MeanOfParts, NeedsClientsWithinTheLimitOfAllWeights) {
  EXPECT_TRUE(absl::IsFailedPrecondition(MeanOf({}, 3)));
  EXPECT_TRUE(absl::IsFailedPrecondition(MeanOf({WeightedSum(3).Serialize()}, 3)));
  const std::string heavy = With<uint64_t>(Sample().Serialize(), 24, kMaxTotalWeight);
  EXPECT_TRUE(MeanOf({heavy}, 3).ok());
  EXPECT_TRUE(absl::IsOutOfRange(MeanOf({heavy, Sample().Serialize()}, 3)));
}

}  // namespace
}  // namespace muster
