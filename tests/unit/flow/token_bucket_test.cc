#include "coordinator/flow/token_bucket.h"

#include <gtest/gtest.h>

#include "proto/core/random.h"

namespace muster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Timestamp kStart{1'700'000'000'000'000};

TEST(TokenBucketTest, AllowsABurstThenSaysHowLongToWait) {
  TokenBucket bucket({.per_second = 2, .burst = 3}, kStart);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(bucket.Take(kStart));
  EXPECT_EQ(bucket.Take(kStart), Duration(milliseconds(500)));
  EXPECT_EQ(bucket.Take(kStart + milliseconds(200)), Duration(milliseconds(300)));
  EXPECT_FALSE(bucket.Take(kStart + milliseconds(500)));
  EXPECT_TRUE(bucket.Take(kStart + milliseconds(500)));
}

TEST(TokenBucketTest, HoldsNoMoreThanTheBurstHoweverLongThePause) {
  TokenBucket bucket({.per_second = 10, .burst = 2}, kStart);
  const Timestamp later = kStart + std::chrono::hours(1000);
  EXPECT_FALSE(bucket.Take(later));
  EXPECT_FALSE(bucket.Take(later));
  EXPECT_TRUE(bucket.Take(later));
}

TEST(TokenBucketTest, WithoutARateRefusesNothing) {
  TokenBucket bucket({}, kStart);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(bucket.Take(kStart));
}

TEST(TokenBucketTest, AClockThatGoesBackNeitherFillsNorEmpties) {
  TokenBucket bucket({.per_second = 1, .burst = 2}, kStart);
  EXPECT_FALSE(bucket.Take(kStart - seconds(100)));
  EXPECT_FALSE(bucket.Take(kStart - seconds(100)));
  EXPECT_TRUE(bucket.Take(kStart - seconds(100)));
}

// Over any run of times: never more than burst + rate * time, and whoever waits as told gets in.
TEST(TokenBucketTest, KeepsItsRateOverManySeeds) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SeededRandom random(seed);
    const Rate rate{.per_second = 0.5 + 50 * random.Unit(), .burst = 1 + 20 * random.Unit()};
    TokenBucket bucket(rate, kStart);
    Timestamp now = kStart;
    double taken = 0;
    for (int i = 0; i < 500; ++i) {
      now = now + Duration(static_cast<int64_t>(random.Below(100'000)));
      const auto wait = bucket.Take(now);
      if (wait) {
        ASSERT_GT(*wait, Duration::zero()) << "seed=" << seed;
        now = now + *wait;
        ASSERT_FALSE(bucket.Take(now)) << "seed=" << seed;
      }
      ++taken;
      const double seconds_passed = std::chrono::duration<double>(now - kStart).count();
      ASSERT_LE(taken, rate.burst + rate.per_second * seconds_passed + 1e-3) << "seed=" << seed;
    }
  }
}

}  // namespace
}  // namespace muster
