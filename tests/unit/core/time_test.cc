#include "proto/core/time.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

using namespace std::chrono_literals;

TEST(Timestamp, PrintsAsRfc3339) {
  EXPECT_EQ(Timestamp{}.ToString(), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(Timestamp{1'767'323'045'000'006}.ToString(), "2026-01-02T03:04:05.000006Z");
  EXPECT_EQ(Timestamp{-1}.ToString(), "1969-12-31T23:59:59.999999Z");
}

TEST(Timestamp, Arithmetic) {
  const Timestamp t{1'000'000};
  EXPECT_EQ(t + 1s, Timestamp{2'000'000});
  EXPECT_EQ(t - 250ms, Timestamp{750'000});
  EXPECT_EQ((t + 5min) - t, Duration(5min));
  EXPECT_LT(t, t + 1us);
}

TEST(ManualClock, StandsStillUntilTold) {
  ManualClock clock(Timestamp{5});
  EXPECT_EQ(clock.Now(), Timestamp{5});
  EXPECT_EQ(clock.Now(), Timestamp{5});
  clock.Advance(7us);
  EXPECT_EQ(clock.Now(), Timestamp{12});
}

TEST(SystemClock, AgreesWithTheSystem) {
  const auto before = std::chrono::system_clock::now().time_since_epoch();
  const Timestamp now = SystemClock().Now();
  const auto after = std::chrono::system_clock::now().time_since_epoch();
  EXPECT_GE(now.unix_us, std::chrono::duration_cast<Duration>(before).count());
  EXPECT_LE(now.unix_us, std::chrono::duration_cast<Duration>(after).count());
}

}  // namespace
}  // namespace muster
