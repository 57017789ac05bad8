#include "coordinator/flow/rate_table.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

constexpr Timestamp kStart{1'700'000'000'000'000};

TEST(RateTableTest, OneKeysFloodLeavesTheOthersAlone) {
  RateTable table({.per_second = 1, .burst = 2}, 1000);
  EXPECT_FALSE(table.Take("flood", kStart));
  EXPECT_FALSE(table.Take("flood", kStart));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(table.Take("flood", kStart));
  EXPECT_FALSE(table.Take("quiet", kStart));
  EXPECT_EQ(table.refused(), 100u);
}

TEST(RateTableTest, NeverHoldsMoreKeysThanItMay) {
  RateTable table({.per_second = 1, .burst = 1}, 100);
  for (int i = 0; i < 10'000; ++i) {
    table.Take("key-" + std::to_string(i), kStart);
    ASSERT_LE(table.keys(), 100u);
  }
  EXPECT_GE(table.keys(), 50u);
}

TEST(RateTableTest, WhoKeepsCallingIsNotForgottenWhenManyOthersCome) {
  RateTable table({.per_second = 0.001, .burst = 1}, 100);
  EXPECT_FALSE(table.Take("busy", kStart));
  for (int i = 0; i < 1000; ++i) {
    table.Take("key-" + std::to_string(i), kStart);
    ASSERT_TRUE(table.Take("busy", kStart)) << i;
  }
}

TEST(RateTableTest, WithoutARateKeepsNothing) {
  RateTable table({}, 100);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(table.Take("key", kStart));
  EXPECT_EQ(table.keys(), 0u);
}

}  // namespace
}  // namespace muster
