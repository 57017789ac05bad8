#include "coordinator/flow/byte_budget.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "proto/core/random.h"

namespace muster {
namespace {

using std::chrono::seconds;
using Ticket = ByteBudget::Ticket;

constexpr Timestamp kStart{1'700'000'000'000'000};

class ByteBudgetTest : public testing::Test {
 protected:
  // The ticket, or 0 if it was refused.
  Ticket Ask(Timestamp now = kStart) {
    const Ticket ticket = budget_.NewTicket();
    const bool asked = budget_.Ask(ticket, now,
                                   {.granted = [this, ticket] { granted_.push_back(ticket); },
                                    .evict = [this, ticket] { evicted_.push_back(ticket); }});
    return asked ? ticket : 0;
  }

  ByteBudget budget_{{.bytes = 10, .share = 5, .waiting = 2, .stall = seconds(60)}};
  std::vector<Ticket> granted_, evicted_;
};

TEST_F(ByteBudgetTest, GrantsSharesWhileThereAreSomeThenInTheOrderOfAsking) {
  const Ticket a = Ask(), b = Ask(), c = Ask(), d = Ask();
  EXPECT_EQ(granted_, (std::vector{a, b}));
  EXPECT_EQ(budget_.bytes_held(), 10u);
  EXPECT_EQ(budget_.waiting(), 2u);
  budget_.Release(b, kStart);
  budget_.Release(a, kStart);
  EXPECT_EQ(granted_, (std::vector{a, b, c, d}));
}

TEST_F(ByteBudgetTest, RefusesWhoFindsTheLineFull) {
  for (int i = 0; i < 4; ++i) EXPECT_NE(Ask(), 0u);
  EXPECT_EQ(Ask(), 0u);
  EXPECT_EQ(budget_.refused(), 1u);
  EXPECT_EQ(granted_.size(), 2u);
}

TEST_F(ByteBudgetTest, WhoLeavesTheLineIsNotGranted) {
  const Ticket a = Ask(), b = Ask(), c = Ask(), d = Ask();
  EXPECT_TRUE(budget_.Withdraw(c));
  EXPECT_FALSE(budget_.Withdraw(c));
  EXPECT_FALSE(budget_.Withdraw(a));  // it holds, it does not wait
  budget_.Release(c, kStart);         // holds nothing
  budget_.Release(a, kStart);
  EXPECT_EQ(granted_, (std::vector{a, b, d}));
}

TEST_F(ByteBudgetTest, AsksTheOneWithoutProgressToGoOnceWhenSomebodyWaits) {
  const Ticket slow = Ask(), quick = Ask();
  budget_.Progress(quick, kStart + seconds(59));
  EXPECT_TRUE(evicted_.empty());
  const Ticket waits = Ask(kStart + seconds(60));
  EXPECT_EQ(evicted_, std::vector{slow});
  Ask(kStart + seconds(61));
  EXPECT_EQ(evicted_, std::vector{slow});
  budget_.Release(slow, kStart + seconds(62));
  EXPECT_EQ(granted_, (std::vector{slow, quick, waits}));
  EXPECT_EQ(budget_.evicted(), 1u);
}

TEST_F(ByteBudgetTest, LeavesTheSlowAloneWhileNobodyWaits) {
  Ask();
  Ask(kStart + seconds(1000));
  EXPECT_TRUE(evicted_.empty());
}

TEST(ByteBudgetSmall, OneStreamAlwaysHasItsShareHoweverSmallTheBudget) {
  ByteBudget budget({.bytes = 1, .share = 5, .waiting = 1});
  bool granted = false;
  EXPECT_TRUE(budget.Ask(budget.NewTicket(), kStart, {.granted = [&] { granted = true; }}));
  EXPECT_TRUE(granted);
}

// Whatever comes in whatever order: never above the budget, nobody twice, nobody forgotten.
TEST(ByteBudgetProperty, HoldsOverManySeeds) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SeededRandom random(seed);
    const ByteBudget::Limits limits{.bytes = 1 + random.Below(40),
                                    .share = 1 + random.Below(7),
                                    .waiting = random.Below(10),
                                    .stall = seconds(5)};
    ByteBudget budget(limits);
    std::set<Ticket> holding, waiting;
    Timestamp now = kStart;
    for (int i = 0; i < 400; ++i) {
      now = now + seconds(random.Below(3));
      const uint64_t what = random.Below(4);
      if (what < 2) {
        const Ticket ticket = budget.NewTicket();
        waiting.insert(ticket);
        const bool asked = budget.Ask(ticket, now,
                                      {.granted =
                                           [&, ticket] {
                                             ASSERT_EQ(waiting.erase(ticket), 1u);
                                             ASSERT_TRUE(holding.insert(ticket).second);
                                           },
                                       .evict = [] {}});
        if (!asked) waiting.erase(ticket);
      } else if (what == 2 && !holding.empty()) {
        const Ticket ticket = *holding.begin();
        holding.erase(ticket);
        budget.Release(ticket, now);
      } else if (!waiting.empty()) {
        const Ticket ticket = *waiting.rbegin();
        ASSERT_TRUE(budget.Withdraw(ticket)) << "seed=" << seed;
        waiting.erase(ticket);
      }
      ASSERT_TRUE(holding.size() <= 1 || holding.size() * limits.share <= limits.bytes)
          << "seed=" << seed;
      ASSERT_EQ(budget.waiting(), waiting.size()) << "seed=" << seed;
      ASSERT_EQ(budget.bytes_held(), holding.size() * limits.share) << "seed=" << seed;
      ASSERT_FALSE(holding.empty() && !waiting.empty()) << "seed=" << seed;
    }
  }
}

}  // namespace
}  // namespace muster
