#include "coordinator/round/round_machine.h"

#include <gtest/gtest.h>

#include "proto/core/random.h"

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr Timestamp kStart{1'000'000};
const RoundPolicy kPolicy{.goal = 3, .invite_target = 4, .quorum = 2, .deadline = 60s};

template <typename State>
RoundTransition Expect(const State& state, const RoundEvent& event, Timestamp now = kStart) {
  RoundOutcome outcome = Step(kPolicy, state, event, now);
  EXPECT_TRUE(std::holds_alternative<RoundTransition>(outcome)) << std::get<Ignored>(outcome).why;
  return std::get<RoundTransition>(outcome);
}

void ExpectIgnored(const RoundState& state, const RoundEvent& event, Timestamp now = kStart) {
  EXPECT_TRUE(std::holds_alternative<Ignored>(Step(kPolicy, state, event, now)));
}

Collecting With(uint32_t invited, uint32_t reported, uint32_t failed = 0) {
  Collecting state = OpenRound(kPolicy, kStart);
  state.invited = invited;
  state.reported = reported;
  state.failed = failed;
  return state;
}

DeviceInvited Invited() { return {DeviceId::Trusted("d-1")}; }
DeviceFailed Failed() { return {DeviceId::Trusted("d-1"), "no battery"}; }

TEST(Collecting, InvitesUpToTheOverSelectedTargetAndNoFurther) {
  const auto last = Expect(With(3, 0), Invited());
  EXPECT_EQ(std::get<Collecting>(last.next).invited, 4u);
  ExpectIgnored(last.next, Invited());
}

TEST(Collecting, InvitesNobodyAfterTheDeadline) {
  ExpectIgnored(With(1, 0), Invited(), kStart + 60s);
  EXPECT_TRUE(WhyNotInvite(kPolicy, With(1, 0), kStart + 60s).has_value());
}

TEST(Collecting, ClosesAtTheGoalWithoutWaitingForTheRest) {
  const auto closed = Expect(With(4, 2), DevicesReported{.count = 1, .examples = 10}, kStart + 5s);
  const auto& state = std::get<Aggregating>(closed.next);
  EXPECT_EQ(state.reported, 3u);
  EXPECT_EQ(state.closed, kStart + 5s);
  ASSERT_EQ(closed.effects.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<CloseSum>(closed.effects[0]));
}

TEST(Collecting, CountsSeveralReportsOfOneCommit) {
  const auto next = Expect(With(4, 0), DevicesReported{.count = 2, .examples = 30});
  EXPECT_EQ(std::get<Collecting>(next.next).reported, 2u);
  EXPECT_EQ(std::get<Collecting>(next.next).examples, 30u);
  EXPECT_TRUE(next.effects.empty());
}

TEST(Collecting, NeverCountsMoreAnswersThanInvitations) {
  ExpectIgnored(With(1, 1), DevicesReported{.count = 1});
  ExpectIgnored(With(1, 0, 1), Failed());
}

TEST(Collecting, ClosesAtTheDeadlineWithAQuorum) {
  ExpectIgnored(With(4, 2), RoundDeadline{}, kStart + 59s);
  const auto closed = Expect(With(4, 2), RoundDeadline{}, kStart + 60s);
  EXPECT_TRUE(std::holds_alternative<Aggregating>(closed.next));
}

TEST(Collecting, IsAbandonedAtTheDeadlineBelowTheQuorum) {
  const auto ended = Expect(With(4, 1), RoundDeadline{}, kStart + 60s);
  const auto& state = std::get<Abandoned>(ended.next);
  EXPECT_NE(state.reason.find("1 of 4 updates; the quorum is 2"), std::string::npos);
  EXPECT_TRUE(std::holds_alternative<TellRoundAbandoned>(ended.effects.at(0)));
}

TEST(Collecting, DoesNotWaitForTheDeadlineWhenNobodyIsLeft) {
  const auto closed = Expect(With(4, 2, 1), Failed());
  EXPECT_TRUE(std::holds_alternative<Aggregating>(closed.next));
  const auto abandoned = Expect(With(4, 1, 2), Failed());
  EXPECT_TRUE(std::holds_alternative<Abandoned>(abandoned.next));
}

TEST(Collecting, OneLostDeviceNeverStopsARound) {
  Collecting state = With(4, 0);
  for (int i = 0; i < 2; ++i) {
    state = std::get<Collecting>(Expect(state, DevicesReported{.count = 1}).next);
  }
  EXPECT_TRUE(std::holds_alternative<Aggregating>(Expect(state, DevicesReported{.count = 1}).next));
}

TEST(Aggregating, IsCommittedOnceTheModelIsStored) {
  const Aggregating state{.opened = kStart, .closed = kStart + 5s, .invited = 4, .reported = 3};
  const auto committed = Expect(state, ModelStored{7}, kStart + 6s);
  EXPECT_EQ(std::get<Committed>(committed.next).model_version, 7u);
  EXPECT_EQ(std::get<TellRoundCommitted>(committed.effects.at(0)).version, 7u);
}

TEST(Aggregating, TakesNothingMoreIntoTheSum) {
  const Aggregating state{.opened = kStart, .closed = kStart, .invited = 4, .reported = 3};
  ExpectIgnored(state, DevicesReported{.count = 1});
  ExpectIgnored(state, Failed());
  ExpectIgnored(state, RoundDeadline{}, kStart + 90s);
  ExpectIgnored(state, Invited());
}

TEST(TerminalStates, IgnoreEverything) {
  for (const RoundState& state : {RoundState(Committed{}), RoundState(Abandoned{})}) {
    EXPECT_TRUE(IsTerminal(state));
    for (const RoundEvent& event : {RoundEvent(Invited()), RoundEvent(DevicesReported{1, 1}),
                                    RoundEvent(Failed()), RoundEvent(RoundDeadline{}),
                                    RoundEvent(ModelStored{1}), RoundEvent(RoundCancelled{"no"})}) {
      ExpectIgnored(state, event, kStart + 3600s);
    }
  }
}

TEST(Cancelling, AbandonsAnyOpenRound) {
  EXPECT_TRUE(std::holds_alternative<Abandoned>(Expect(With(1, 0), RoundCancelled{"x"}).next));
  EXPECT_TRUE(std::holds_alternative<Abandoned>(Expect(Aggregating{}, RoundCancelled{"x"}).next));
}

TEST(Policy, InvitesTheCeilingOfTheOverSelection) {
  EXPECT_EQ(PolicyOf({.clients = 10, .over_selection = 1.25}, {}).invite_target, 13u);
  EXPECT_EQ(PolicyOf({.clients = 10, .over_selection = 1.0}, {}).invite_target, 10u);
}

// Whatever comes in whatever order, a round keeps its counts in bounds and ends at its deadline.
TEST(AnyHistory, EndsByItsDeadlineWithCountsInBounds) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    SeededRandom random(seed);
    RoundState state = OpenRound(kPolicy, kStart);
    Timestamp now = kStart;
    for (int i = 0; i < 20; ++i) {
      now = now + Duration(random.Below(8'000'000));
      RoundEvent event;
      switch (random.Below(4)) {
        case 0:
          event = Invited();
          break;
        case 1:
          event = DevicesReported{.count = 1, .examples = 1};
          break;
        case 2:
          event = Failed();
          break;
        default:
          event = RoundDeadline{};
          break;
      }
      RoundOutcome outcome = Step(kPolicy, state, event, now);
      if (auto* t = std::get_if<RoundTransition>(&outcome)) state = t->next;
      if (const auto* c = std::get_if<Collecting>(&state)) {
        ASSERT_LE(c->invited, kPolicy.invite_target) << "seed=" << seed;
        ASSERT_LE(c->reported + c->failed, c->invited) << "seed=" << seed;
        ASSERT_LT(c->reported, kPolicy.goal) << "seed=" << seed;
      }
      if (const auto* a = std::get_if<Aggregating>(&state)) {
        ASSERT_GE(a->reported, kPolicy.quorum) << "seed=" << seed;
      }
    }
    RoundOutcome last = Step(kPolicy, state, RoundDeadline{}, kStart + 3600s);
    if (auto* t = std::get_if<RoundTransition>(&last)) state = t->next;
    ASSERT_FALSE(std::holds_alternative<Collecting>(state)) << "seed=" << seed;
  }
}

}  // namespace
}  // namespace muster
