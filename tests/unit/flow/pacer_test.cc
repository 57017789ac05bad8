#include "coordinator/flow/pacer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <queue>
#include <vector>

#include "proto/core/random.h"

namespace muster {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr Timestamp kStart{1'700'000'000'000'000};

TEST(PacerTest, AFewDevicesCallAtTheShortestPace) {
  Pacer pacer({.per_second = 500, .min = seconds(2), .max = minutes(10)});
  EXPECT_EQ(pacer.Next(3, kStart), Duration(seconds(2)));
  EXPECT_EQ(pacer.Next(3, kStart + seconds(1)), Duration(seconds(2)));
}

TEST(PacerTest, AFleetThatComesEvenlyIsToldTheSameEvenPace) {
  Pacer pacer({.per_second = 100, .min = seconds(2), .max = minutes(10)});
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(pacer.Next(1000, kStart + std::chrono::milliseconds(10 * i)), Duration(seconds(10)));
  }
}

TEST(PacerTest, MeasuresTheArrivalRateAndForgetsIt) {
  Pacer pacer({.per_second = 500, .min = seconds(2), .max = minutes(10)});
  Timestamp now = kStart;
  for (int i = 0; i < 6000; ++i) pacer.Next(100, now = now + std::chrono::milliseconds(10));
  EXPECT_NEAR(pacer.ArrivalRate(now), 100, 5);
  EXPECT_NEAR(pacer.ArrivalRate(now + seconds(10)), 100 / 2.718, 5);
  EXPECT_LT(pacer.ArrivalRate(now + minutes(5)), 1e-6);
}

TEST(PacerTest, AClockThatIsSetBackDoesNotSendEverybodyFarAway) {
  Pacer pacer({.per_second = 10, .min = seconds(2), .max = minutes(10)});
  for (int i = 0; i < 1000; ++i) pacer.Next(100, kStart);
  EXPECT_EQ(pacer.Next(100, kStart - std::chrono::hours(1)), Duration(seconds(10)));
}

// Devices that come all at once to a coordinator that just started, do as they are told with the
// jitter that clients add, and go on for many rounds.
struct Fleet {
  size_t devices;
  PaceLimits limits;
  double jitter = 0.2;
};

std::vector<size_t> CallsBySecond(const Fleet& fleet, uint64_t seed, int64_t seconds_played) {
  SeededRandom random(seed);
  Pacer pacer(fleet.limits);
  std::priority_queue<int64_t, std::vector<int64_t>, std::greater<>> calls;
  for (size_t i = 0; i < fleet.devices; ++i) {
    calls.push(static_cast<int64_t>(random.Below(1'000'000)));
  }
  std::vector<size_t> by_second(static_cast<size_t>(seconds_played));
  while (calls.top() < seconds_played * 1'000'000) {
    const int64_t at = calls.top();
    calls.pop();
    ++by_second[static_cast<size_t>(at / 1'000'000)];
    const auto told = pacer.Next(fleet.devices, kStart + Duration(at)).count();
    const double factor = 1 + fleet.jitter * (2 * random.Unit() - 1);
    calls.push(at + static_cast<int64_t>(static_cast<double>(told) * factor));
  }
  return by_second;
}

TEST(PacerProperty, AfterAMassReconnectNoSecondGetsMuchMoreThanTheMean) {
  const Fleet fleets[] = {
      {10'000, {.per_second = 500, .min = seconds(2), .max = minutes(10)}},
      {10'000, {.per_second = 500, .min = seconds(2), .max = minutes(10)}, 0},
      {3'000, {.per_second = 200, .min = seconds(1), .max = minutes(2)}},
      // More devices than the pace allows for: the rest is spread over the longest pace.
      {50'000, {.per_second = 100, .min = seconds(2), .max = minutes(2)}},
  };
  for (const Fleet& fleet : fleets) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      const auto by_second = CallsBySecond(fleet, seed, 600);
      EXPECT_EQ(by_second[0], fleet.devices);
      const double cycle =
          std::max(std::chrono::duration<double>(EvenPace(fleet.limits, fleet.devices)).count(),
                   std::chrono::duration<double>(fleet.limits.min).count());
      const double mean = static_cast<double>(fleet.devices) / cycle;
      const size_t most = *std::max_element(by_second.begin() + 1, by_second.end());
      EXPECT_LE(static_cast<double>(most), 2 * mean) << fleet.devices << " devices, seed=" << seed;
    }
  }
}

TEST(PacerProperty, NobodyIsToldLessThanTheShortestOrMoreThanTheLongestPace) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SeededRandom random(seed);
    const PaceLimits limits{.per_second = 0.01 + 1000 * random.Unit(),
                            .min = Duration(1 + random.Below(5'000'000)),
                            .max = Duration(5'000'001 + random.Below(1'000'000'000))};
    Pacer pacer(limits);
    Timestamp now = kStart;
    for (int i = 0; i < 2000; ++i) {
      now = now + Duration(random.Below(50'000));
      const Duration told = pacer.Next(random.Below(5'000'000), now);
      ASSERT_GE(told, limits.min) << "seed=" << seed;
      ASSERT_LE(told, limits.max) << "seed=" << seed;
    }
  }
}

}  // namespace
}  // namespace muster
