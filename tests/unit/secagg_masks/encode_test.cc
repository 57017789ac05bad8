#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "proto/core/strings.h"
#include "tests/unit/secagg_masks/ring_params.h"

namespace muster::secagg {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kBits[] = {16, 32, 64};

TEST(EncodeUpdate, ClientsAtTheExactBoundDoNotOverflow) {
  for (const uint32_t bits : kBits) {
    const uint32_t clients = 50;
    Params params = SomeParams(2, bits, clients);
    const auto largest = static_cast<int64_t>(LargestMagnitude(params).value());
    // The bound itself, also where FullScale stays below it; clip is 1.
    params.scale = std::nextafter(static_cast<double>(largest), 0.0);
    // All of the norm in one value, with either sign.
    for (const float sign : {1.0f, -1.0f}) {
      std::vector<std::vector<uint8_t>> vectors;
      for (uint32_t i = 0; i < clients; ++i) {
        vectors.push_back(Encode(params, {sign, 0.0f}, {.examples = 100}, i).bytes);
      }
      const RingSum sum = SumOf(params, vectors);
      const auto expected = static_cast<double>(largest) * clients * sign;
      EXPECT_NEAR(static_cast<double>(sum.Element(0)) / expected, 1.0, 1e-9) << bits;
      EXPECT_LE(std::abs(sum.Element(0)), largest * clients);
      EXPECT_EQ(sum.Element(1), 0);
      EXPECT_DOUBLE_EQ(DecodeLanes(params, sum)->weight, clients);
    }
    // One unit more could overflow, and is refused before anything is read.
    params.scale = (static_cast<double>(largest) + (bits == 64 ? 1e6 : 1)) / params.clip;
    EXPECT_EQ(CheckParams(params).code(), absl::StatusCode::kInvalidArgument);
    const EncodedVector refused = Encode(params, {1.0f, 0.0f}, {.examples = 100}, 1);
    EXPECT_EQ(refused.encoded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(refused.bytes.empty());
  }
}

TEST(EncodeUpdate, RoundingIsUnbiased) {
  for (const uint32_t bits : kBits) {
    Params params = SomeParams(20'000, bits, 10);
    params.clip = 1e3;
    params.scale = 1;
    for (const float value : {0.25f, -0.25f, 1.75f, -0.9f, 0.001f}) {
      const std::vector<float> update(params.dimension, value);
      int64_t sum = 0;
      for (uint64_t seed = 0; seed < 5; ++seed) {
        const EncodedVector vector = Encode(params, update, {.examples = 100}, seed);
        const RingSum ring = SumOf(params, {vector.bytes});
        for (uint64_t i = 0; i < params.dimension; ++i) {
          EXPECT_LT(std::abs(static_cast<double>(ring.Element(i)) - value), 1.0);
          sum += ring.Element(i);
        }
      }
      // 100,000 draws of a deviation of at most 0.5: the mean's is 0.0016.
      EXPECT_NEAR(static_cast<double>(sum) / 1e5, value, 8 * 0.0016) << bits;
    }
  }
}

TEST(EncodeUpdate, WholeUnitsStayAsTheyAre) {
  Params params = SomeParams(5, 32, 10);
  params.clip = 100;
  params.scale = 1;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const EncodedVector vector =
        Encode(params, {0.0f, 1.0f, -1.0f, 37.0f, -52.0f}, {.examples = 100}, seed);
    const RingSum sum = SumOf(params, {vector.bytes});
    EXPECT_EQ(sum.Element(0), 0);
    EXPECT_EQ(sum.Element(1), 1);
    EXPECT_EQ(sum.Element(2), -1);
    EXPECT_EQ(sum.Element(3), 37);
    EXPECT_EQ(sum.Element(4), -52);
  }
}

TEST(EncodeUpdate, AnUpdateBeyondTheClipIsShrunkToIt) {
  SeededRandom random(1);
  Params params = SomeParams(1000);
  for (const double norm : {0.5, 0.999, 1.001, 20.0, 1e20}) {
    const std::vector<float> update = RandomUpdate(1000, norm, random);
    const EncodedVector vector = Encode(params, update, {.examples = 100}, 1);
    ASSERT_TRUE(vector.encoded.ok());
    EXPECT_NEAR(vector.encoded->norm / norm, 1, 1e-5);
    EXPECT_EQ(vector.encoded->clipped, norm > 1);
    std::vector<float> mean(1000);
    ASSERT_TRUE(Decode(params, SumOf(params, {vector.bytes}), mean).ok());
    const double decoded =
        std::sqrt(std::inner_product(mean.begin(), mean.end(), mean.begin(), 0.0));
    EXPECT_NEAR(decoded, std::min(norm, 1.0), 1e-4);
    EXPECT_NEAR(mean[17] / decoded, update[17] / norm, 1e-4);
  }
}

TEST(EncodeUpdate, TheClipLaneCountsUnclippedUpdates) {
  Params params = SomeParams(1);
  params.clip_lane = true;
  std::vector<std::vector<uint8_t>> vectors;
  for (const float value : {0.5f, 2.0f, -1.0f, -1.5f, 0.0f}) {
    vectors.push_back(Encode(params, {value}, {.examples = 3}, vectors.size()).bytes);
  }
  EXPECT_EQ(DecodeLanes(params, SumOf(params, vectors))->unclipped, 3);
}

TEST(EncodeUpdate, NanAndInfinityAreRefusedBeforeAnythingIsEmitted) {
  const Params params = SomeParams(100'000);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const size_t index : {0u, 32'767u, 32'768u, 99'999u}) {
      std::vector<float> update(100'000, 1e-3f);
      update[index] = bad;
      const EncodedVector vector = Encode(params, update, {.examples = 100}, 1);
      EXPECT_EQ(vector.encoded.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(StdView(vector.encoded.status().message())),
                  HasSubstr(StrCat("at index ", index)));
      EXPECT_TRUE(vector.pieces.empty());
    }
  }
}

TEST(EncodeUpdate, AnUpdateThatTurnsBadWhileItIsReadIsRefused) {
  const Params params = SomeParams(10);
  int reads = 0;
  SeededRandom random(1);
  const auto encoded = EncodeUpdate(
      params, {.examples = 1},
      [&reads](uint64_t, std::span<float> out) {
        std::fill(out.begin(), out.end(), ++reads == 1 ? 0.1f : NAN);
        return absl::OkStatus();
      },
      random, random, [](uint64_t, std::span<uint8_t>) { return absl::OkStatus(); });
  EXPECT_EQ(encoded.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EncodeUpdate, ErrorsOfTheSourceAndTheSinkComeBack) {
  const Params params = SomeParams(10);
  SeededRandom random(1);
  const std::vector<float> update(10);
  EXPECT_EQ(EncodeUpdate(
                params, {.examples = 1},
                [](uint64_t, std::span<float>) { return absl::DataLossError("source"); }, random,
                random, [](uint64_t, std::span<uint8_t>) { return absl::OkStatus(); })
                .status()
                .code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(EncodeUpdate(params, {.examples = 1}, SourceOf(update), random, random,
                         [](uint64_t, std::span<uint8_t>) { return absl::AbortedError("sink"); })
                .status()
                .code(),
            absl::StatusCode::kAborted);
}

TEST(EncodeUpdate, WeightsAreCapped) {
  const Params params = SomeParams(1);
  const auto weight = [&params](uint64_t examples, uint64_t seed) {
    const EncodedVector vector = Encode(params, {0.25f}, {.examples = examples}, seed);
    return ElementAt(params, vector.bytes, 1);
  };
  EXPECT_EQ(weight(100, 1), 65'536);
  EXPECT_EQ(weight(101, 2), 65'536);
  EXPECT_EQ(weight(~uint64_t{0}, 3), 65'536);
  EXPECT_EQ(weight(25, 4), 16'384);
  EXPECT_NEAR(static_cast<double>(weight(1, 5)), 655.36, 1);
  EXPECT_EQ(Encode(params, {0.25f}, {.examples = 0}, 6).encoded.status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(EncodeUpdate, WithoutWeightsEveryClientWeighsOne) {
  Params params = SomeParams(1);
  params.weighted = false;
  for (const uint64_t examples : {0u, 1u, 1000u}) {
    const EncodedVector vector = Encode(params, {0.25f}, {.examples = examples}, 1);
    EXPECT_EQ(ElementAt(params, vector.bytes, 1), 65'536);
    EXPECT_NEAR(static_cast<double>(ElementAt(params, vector.bytes, 0)), params.scale / 4, 1);
  }
}

TEST(EncodeUpdate, PiecesAreWholeBlocksButForTheLast) {
  for (const uint32_t bits : kBits) {
    for (const uint64_t dimension : {1u, 7u, 32'767u, 32'768u, 70'001u}) {
      Params params = SomeParams(dimension, bits);
      params.metrics = {"loss"};
      SeededRandom random(1);
      const EncodedVector vector =
          Encode(params, RandomUpdate(dimension, 0.9, random), {.examples = 5}, 1);
      ASSERT_TRUE(vector.encoded.ok());
      EXPECT_EQ(vector.bytes.size(), VectorBytes(params));
      for (size_t i = 0; i + 1 < vector.pieces.size(); ++i) EXPECT_EQ(vector.pieces[i] % 16, 0u);
      EXPECT_LE(*std::max_element(vector.pieces.begin(), vector.pieces.end()), 256u << 10);
    }
  }
}

TEST(EncodeUpdate, TheSameChanceGivesTheSameBytes) {
  SeededRandom random(1);
  const Params params = SomeParams(40'000);
  const std::vector<float> update = RandomUpdate(40'000, 3, random);
  EXPECT_EQ(Encode(params, update, {.examples = 7}, 1).bytes,
            Encode(params, update, {.examples = 7}, 1).bytes);
  EXPECT_NE(Encode(params, update, {.examples = 7}, 1).bytes,
            Encode(params, update, {.examples = 7}, 2).bytes);
}

}  // namespace
}  // namespace muster::secagg
