#include "aggregation/secagg/ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "proto/core/limits.h"
#include "proto/core/strings.h"
#include "tests/unit/secagg_masks/ring_params.h"

namespace muster::secagg {
namespace {

using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::string RefusalOf(const Params& params) {
  const absl::Status status = CheckParams(params);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(StdView(status.message()));
}

Params NoisyParams(uint64_t dimension) {
  Params params = SomeParams(dimension);
  params.weighted = false;
  params.noise = ClientNoise{.variance_per_client = 100.0};
  params.scale = FullScale(params).value();
  return params;
}

TEST(RingParams, AVectorIsItsValuesThenItsLanes) {
  Params params = SomeParams(1000);
  EXPECT_EQ(ValueCount(params), 1000u);
  EXPECT_EQ(VectorLength(params), 1001u);
  EXPECT_EQ(VectorBytes(params), 4004u);
  params.clip_lane = true;
  params.metrics = {"loss", "accuracy"};
  params.ring_bits = 64;
  EXPECT_EQ(VectorLength(params), 1004u);
  EXPECT_EQ(VectorBytes(params), 8032u);
  EXPECT_EQ(ValueCount(NoisyParams(1000)), 1024u);
  EXPECT_EQ(ValueCount(NoisyParams(1024)), 1024u);
}

TEST(RingParams, TheLargestMagnitudeLeavesRoomForEveryClient) {
  for (const uint32_t bits : {16u, 32u, 64u}) {
    for (const uint32_t clients : {4u, 10u, 99u, 1000u, 10'000u}) {
      const uint64_t ring = (uint64_t{1} << (bits - 1)) - 1;
      const auto largest = LargestMagnitude(SomeParams(10, bits, clients)).value();
      EXPECT_LE(largest, ring / clients - 1);
      EXPECT_LE(clients * (largest + 1), ring);
      EXPECT_GT(clients * (largest + 2), ring);
    }
  }
  // The figures that the design of a session starts from.
  EXPECT_GE(LargestMagnitude(SomeParams(10, 32, 1000)).value(), (1u << 21));
  EXPECT_GE(LargestMagnitude(SomeParams(10, 32, 10'000)).value(), (1u << 17));
}

TEST(RingParams, TheNoiseOfAllClientsTakesItsRoom) {
  Params params = NoisyParams(10);
  // 100 clients of variance 100: a deviation of 100, and a tail of 1200.
  EXPECT_EQ(LargestMagnitude(params).value(), (0x7fffffffu - 1200) / 100 - 1);
  params.ring_bits = 16;
  EXPECT_EQ(LargestMagnitude(params).value(), (0x7fffu - 1200) / 100 - 1);
  params.noise->variance_per_client = 80'000;  // a tail of 33942
  EXPECT_THAT(RefusalOf(params), HasSubstr("no room for 100 clients and noise"));
}

TEST(RingParams, ARingWithoutRoomIsRefused) {
  Params params = SomeParams(10, 16, 16'383);
  EXPECT_EQ(LargestMagnitude(params).value(), 1u);
  params.max_clients = 16'384;
  EXPECT_EQ(LargestMagnitude(params).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(RingParams, TheFullScaleIsAcceptedAndTheNextOneIsNot) {
  SeededRandom random(1);
  for (const uint32_t bits : {16u, 32u, 64u}) {
    for (int i = 0; i < 200; ++i) {
      Params params = SomeParams(10, bits, static_cast<uint32_t>(4 + random.Below(5000)));
      params.clip = std::ldexp(1 + random.Unit(), static_cast<int>(random.Below(40)) - 20);
      params.scale = FullScale(params).value();
      EXPECT_TRUE(CheckParams(params).ok());
      const auto largest = static_cast<double>(LargestMagnitude(params).value());
      if (bits == 64) {
        // The useful scale ends before the ring does; beyond the ring it is refused.
        EXPECT_LE(params.scale * params.clip, kLargestUsefulMagnitude);
        params.scale = largest / params.clip * (1 + 0x1p-50);
      } else {
        params.scale += params.scale / largest;
      }
      EXPECT_THAT(RefusalOf(params), HasSubstr("the sum could overflow"));
    }
  }
}

TEST(RingParams, WhatCannotBeIsRefusedWithItsReason) {
  const Params good = SomeParams(10);
  ASSERT_TRUE(CheckParams(good).ok());
  const auto with = [&good](auto change) {
    Params params = good;
    change(params);
    return RefusalOf(params);
  };
  EXPECT_THAT(with([](Params& p) { p.ring_bits = 24; }), HasSubstr("choose 16, 32 or 64"));
  EXPECT_THAT(with([](Params& p) { p.dimension = 0; }), HasSubstr("0 parameters"));
  EXPECT_THAT(with([](Params& p) { p.dimension = limits::kMaxParameters + 1; }),
              HasSubstr("parameters"));
  EXPECT_THAT(with([](Params& p) { p.examples_cap = 0; }), HasSubstr("cap of 0"));
  for (const double bad : {0.0, -1.0, kInfinity, kNan}) {
    EXPECT_THAT(with([bad](Params& p) { p.clip = bad; }), HasSubstr("clip"));
    EXPECT_THAT(with([bad](Params& p) { p.scale = bad; }), HasSubstr("scale"));
  }
  EXPECT_THAT(with([](Params& p) { p.max_clients = 0; }), HasSubstr("clients"));
  EXPECT_THAT(with([](Params& p) { p.min_clients = 0; }), HasSubstr("clients"));
  EXPECT_THAT(with([](Params& p) { p.min_clients = p.max_clients + 1; }), HasSubstr("clients"));
  EXPECT_THAT(with([](Params& p) { p.max_clients = limits::kMaxSecAggClients + 1; }),
              HasSubstr("clients"));
  EXPECT_THAT(with([](Params& p) {
                p.metrics = {"loss", "a", "loss"};
              }),
              HasSubstr("loss is listed twice"));
  EXPECT_THAT(with([](Params& p) {
                for (uint32_t i = 0; i <= kMaxRingMetrics; ++i) p.metrics.push_back(StrCat(i));
              }),
              HasSubstr("17 metrics"));
}

TEST(RingParams, NothingGoesWithoutNoiseWhereThereIsNoise) {
  const Params good = NoisyParams(10);
  ASSERT_TRUE(CheckParams(good).ok());
  Params params = good;
  params.weighted = true;
  EXPECT_THAT(RefusalOf(params), HasSubstr("without noise"));
  params = good;
  params.metrics = {"loss"};
  EXPECT_THAT(RefusalOf(params), HasSubstr("without noise"));
  params = good;
  params.clip_lane = true;
  EXPECT_THAT(RefusalOf(params), HasSubstr("without noise"));
  for (const double bad : {0.0, -1.0, kInfinity, kNan}) {
    params = good;
    params.noise->variance_per_client = bad;
    EXPECT_THAT(RefusalOf(params), HasSubstr("variance"));
  }
}

}  // namespace
}  // namespace muster::secagg
