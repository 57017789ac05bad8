#include "coordinator/drive/wakeups.h"

#include <gtest/gtest.h>

#include <future>

namespace muster {
namespace {

using std::chrono::hours;
using Reason = WakeUps::Reason;

std::future<Reason> Wait(WakeUps& wakeups, const std::string& key, uint64_t version,
                         Duration timeout) {
  auto promise = std::make_shared<std::promise<Reason>>();
  wakeups.WaitFor(key, version, timeout, [promise](Reason reason) { promise->set_value(reason); });
  return promise->get_future();
}

TEST(WakeUps, WakesOnlyWhoWaitsForTheKey) {
  WakeUps wakeups;
  auto mine = Wait(wakeups, "a", wakeups.version("a"), hours(1));
  auto other = Wait(wakeups, "b", wakeups.version("b"), hours(1));
  wakeups.Wake("a");
  EXPECT_EQ(mine.get(), Reason::kWoken);
  EXPECT_EQ(other.wait_for(Duration::zero()), std::future_status::timeout);
  wakeups.Shutdown();
  EXPECT_EQ(other.get(), Reason::kShutdown);
}

TEST(WakeUps, AWakeUpBetweenLookingAndWaitingIsNotLost) {
  WakeUps wakeups;
  const uint64_t version = wakeups.version("a");
  wakeups.Wake("a");
  EXPECT_EQ(Wait(wakeups, "a", version, hours(1)).get(), Reason::kWoken);
}

TEST(WakeUps, TimesOut) {
  WakeUps wakeups;
  wakeups.Start();
  EXPECT_EQ(Wait(wakeups, "a", wakeups.version("a"), std::chrono::milliseconds(1)).get(),
            Reason::kTimeout);
}

TEST(WakeUps, WithoutAThreadTimeoutsFireByTheClockThatIsGiven) {
  WakeUps::Time now{};
  WakeUps wakeups([&now] { return now; });
  auto later = Wait(wakeups, "a", wakeups.version("a"), hours(2));
  auto sooner = Wait(wakeups, "a", wakeups.version("a"), hours(1));
  EXPECT_EQ(wakeups.FireDue(), 0u);
  now += hours(1);
  EXPECT_EQ(wakeups.FireDue(), 1u);
  EXPECT_EQ(sooner.get(), Reason::kTimeout);
  EXPECT_EQ(later.wait_for(Duration::zero()), std::future_status::timeout);
  wakeups.Wake("a");
  EXPECT_EQ(later.get(), Reason::kWoken);
  now += hours(9);
  EXPECT_EQ(wakeups.FireDue(), 0u);
}

TEST(WakeUps, WhoWaitsLongestUnderAKeyIsWokenFirst) {
  WakeUps::Time now{};
  WakeUps wakeups([&now] { return now; });
  const uint64_t version = wakeups.version("a");
  std::string order;
  const auto wait = [&](char name, Duration timeout) {
    wakeups.WaitFor("a", version, timeout, [&order, name](Reason) { order += name; });
  };
  wait('1', hours(3));
  wait('2', hours(1));
  wait('3', hours(2));
  now += hours(1);
  EXPECT_EQ(wakeups.FireDue(), 1u);
  wait('4', hours(1));
  wakeups.Wake("a");
  EXPECT_EQ(order, "2134");
  wakeups.Wake("a");
  EXPECT_EQ(order, "2134");
}

TEST(WakeUps, WaitingAfterShutdownReturnsAtOnce) {
  WakeUps wakeups;
  const uint64_t version = wakeups.version("a");
  wakeups.Shutdown();
  EXPECT_EQ(Wait(wakeups, "a", version, hours(1)).get(), Reason::kShutdown);
}

}  // namespace
}  // namespace muster
