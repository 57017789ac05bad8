#include "coordinator/drive/idle.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

using std::chrono::seconds;

constexpr Duration kAfter = seconds(30);

TEST(IdleTest, EndsOnceItWasQuietLongEnoughAndNothingIsPlanned) {
  EXPECT_FALSE(MayEnd({.quiet = seconds(29)}, kAfter));
  EXPECT_TRUE(MayEnd({.quiet = seconds(30)}, kAfter));
}

TEST(IdleTest, StaysForACallATaskInHandOrATaskThatIsDueSoon) {
  EXPECT_FALSE(MayEnd({.open_calls = 1, .quiet = seconds(99)}, kAfter));
  EXPECT_FALSE(MayEnd({.working = true, .quiet = seconds(99)}, kAfter));
  EXPECT_FALSE(MayEnd({.quiet = seconds(99), .next_task = seconds(30)}, kAfter));
  EXPECT_FALSE(MayEnd({.quiet = seconds(99), .next_task = seconds(-5)}, kAfter));
  EXPECT_TRUE(MayEnd({.quiet = seconds(99), .next_task = seconds(31)}, kAfter));
}

TEST(IdleTest, LooksAgainWhenQuietCouldBeLongEnoughButNeverInATightLoop) {
  EXPECT_EQ(LookAgainIn({.quiet = kAfter - std::chrono::milliseconds(200)}, kAfter),
            Duration(std::chrono::milliseconds(200)));
  for (Duration quiet : {Duration(0), kAfter, kAfter * 10}) {
    EXPECT_GE(LookAgainIn({.quiet = quiet}, kAfter), Duration(std::chrono::milliseconds(10)));
    EXPECT_LE(LookAgainIn({.quiet = quiet}, kAfter), Duration(std::chrono::seconds(1)));
  }
}

}  // namespace
}  // namespace muster
