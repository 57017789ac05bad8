// The exchanges of secure aggregation as the round machine sees them.
#include <gtest/gtest.h>

#include "coordinator/round/round_machine.h"
#include "proto/core/random.h"

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr Timestamp kStart{1'000'000};

RoundPolicy Policy(AggregationMode mode = AggregationMode::kSemiHonest) {
  return {.goal = 6,
          .invite_target = 7,
          .quorum = 4,
          .deadline = 60s,
          .aggregation = mode,
          .phase_deadline = 10s};
}

RoundTransition Expect(const RoundPolicy& policy, const RoundState& state, const RoundEvent& event,
                       Timestamp now = kStart + 1s) {
  RoundOutcome outcome = Step(policy, state, event, now);
  if (auto* ignored = std::get_if<Ignored>(&outcome)) {
    ADD_FAILURE() << ignored->why;
    return {state, {}};
  }
  return std::get<RoundTransition>(outcome);
}

template <typename State>
State Phase(uint32_t members, uint32_t answered = 0, uint32_t lost = 0) {
  return {.opened = kStart,
          .closes = kStart + 10s,
          .invited = 7,
          .reported = members,
          .failed = lost,
          .answered = answered,
          .lost = lost};
}

template <typename Effect>
bool Has(const RoundTransition& transition) {
  for (const RoundEffect& effect : transition.effects) {
    if (std::holds_alternative<Effect>(effect)) return true;
  }
  return false;
}

TEST(SecureRound, FreezesTheRosterAtTheGoalAndGivesThePhaseItsOwnDeadline) {
  Collecting state = OpenRound(Policy(), kStart);
  state.invited = 7;
  state.reported = 5;
  const auto next = Expect(Policy(), state, DevicesReported{.count = 1}, kStart + 3s);
  ASSERT_TRUE(std::holds_alternative<Sharing>(next.next));
  EXPECT_EQ(std::get<Sharing>(next.next).reported, 6u);
  EXPECT_EQ(ClosesAt(next.next), kStart + 13s);
  EXPECT_TRUE(Has<FreezeRoster>(next));
}

TEST(SecureRound, GoesOnWhenEveryMemberAnswered) {
  const auto masking = Expect(Policy(), Phase<Sharing>(6, 5), DevicesAnswered{1});
  EXPECT_EQ(std::get<Masking>(masking.next).reported, 6u);
  EXPECT_TRUE(Has<FreezeSharers>(masking));
  const auto unmasking = Expect(Policy(), Phase<Masking>(6, 5), DevicesAnswered{1});
  EXPECT_EQ(std::get<Unmasking>(unmasking.next).reported, 6u);
  EXPECT_TRUE(Has<FreezeSurvivors>(unmasking));
}

TEST(SecureRound, MaliciousModeAgreesOnTheSurvivorsFirst) {
  const RoundPolicy policy = Policy(AggregationMode::kMalicious);
  const auto agreeing = Expect(policy, Phase<Masking>(6, 5), DevicesAnswered{1});
  ASSERT_TRUE(std::holds_alternative<Agreeing>(agreeing.next));
  EXPECT_TRUE(Has<FreezeSurvivors>(agreeing));
  // Whoever does not sign stays in the sum: all of U2 may still reveal.
  const auto unmasking = Expect(policy, Phase<Agreeing>(6, 4), RoundDeadline{}, kStart + 10s);
  EXPECT_EQ(std::get<Unmasking>(unmasking.next).reported, 6u);
  EXPECT_TRUE(unmasking.effects.empty());
}

TEST(SecureRound, TheDeadlineGoesOnWithAQuorumAndAbandonsWithout) {
  const auto on = Expect(Policy(), Phase<Masking>(6, 4), RoundDeadline{}, kStart + 10s);
  EXPECT_EQ(std::get<Unmasking>(on.next).reported, 4u);
  const auto off = Expect(Policy(), Phase<Masking>(6, 3), RoundDeadline{}, kStart + 10s);
  ASSERT_TRUE(std::holds_alternative<Abandoned>(off.next));
  EXPECT_EQ(std::get<Abandoned>(off.next).reason,
            "3 of 6 devices went on from masking; the quorum is 4");
  EXPECT_TRUE(std::holds_alternative<Ignored>(
      Step(Policy(), Phase<Masking>(6, 4), RoundDeadline{}, kStart + 9s)));
}

TEST(SecureRound, DoesNotWaitForMembersThatSayTheyAreOut) {
  const auto next =
      Expect(Policy(), Phase<Masking>(6, 5), DeviceFailed{DeviceId::Trusted("d"), "refuses", true});
  EXPECT_EQ(std::get<Unmasking>(next.next).reported, 5u);
  const auto waits = Expect(Policy(), Phase<Masking>(6, 5),
                            DeviceFailed{DeviceId::Trusted("d"), "never was in", false});
  EXPECT_TRUE(std::holds_alternative<Masking>(waits.next));
}

TEST(SecureRound, OpensTheSumOnlyWithEnoughShares) {
  const auto more = Expect(Policy(), Phase<Unmasking>(6, 3), DevicesAnswered{1});
  EXPECT_TRUE(std::holds_alternative<Unmasking>(more.next));
  const auto enough = Expect(Policy(), Phase<Unmasking>(6, 3), DevicesAnswered{1, true});
  EXPECT_TRUE(std::holds_alternative<Aggregating>(enough.next));
  EXPECT_TRUE(Has<CloseSum>(enough));
  const auto never = Expect(Policy(), Phase<Unmasking>(6, 5), DevicesAnswered{1});
  EXPECT_TRUE(std::holds_alternative<Abandoned>(never.next));
  const auto late = Expect(Policy(), Phase<Unmasking>(6, 5), RoundDeadline{}, kStart + 10s);
  EXPECT_TRUE(std::holds_alternative<Abandoned>(late.next));
}

TEST(SecureRound, CountsNobodyTwice) {
  EXPECT_TRUE(std::holds_alternative<Ignored>(
      Step(Policy(), Phase<Sharing>(6, 5), DevicesAnswered{2}, kStart)));
  EXPECT_TRUE(std::holds_alternative<Ignored>(
      Step(Policy(), Phase<Sharing>(6), DevicesReported{.count = 1}, kStart)));
}

TEST(SecureRound, EndsInEveryOrderOfEvents) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    SeededRandom random(seed);
    const RoundPolicy policy =
        Policy(random.Below(2) == 0 ? AggregationMode::kSemiHonest : AggregationMode::kMalicious);
    RoundState state = OpenRound(policy, kStart);
    Timestamp now = kStart;
    uint32_t releases = 0;
    for (int step = 0; step < 200 && !IsTerminal(state); ++step) {
      now = now + Duration(random.Below(4'000'000));
      RoundEvent event;
      switch (random.Below(6)) {
        case 0:
          event = DeviceInvited{DeviceId::Trusted("d")};
          break;
        case 1:
          event = DevicesReported{.count = 1};
          break;
        case 2:
          event = DevicesAnswered{1, random.Below(3) == 0};
          break;
        case 3:
          event = DeviceFailed{DeviceId::Trusted("d"), "x", random.Below(2) == 0};
          break;
        case 4:
          event = RoundDeadline{};
          break;
        default:
          event = ModelStored{1, 10};
      }
      RoundOutcome outcome = Step(policy, state, event, now);
      auto* transition = std::get_if<RoundTransition>(&outcome);
      if (transition == nullptr) continue;
      releases += Has<CloseSum>(*transition);
      // No sum of fewer than the quorum is ever opened.
      if (const auto* open = std::get_if<Unmasking>(&transition->next)) {
        ASSERT_GE(open->reported, policy.quorum) << "seed=" << seed;
      }
      state = transition->next;
    }
    for (int i = 0; i < 8 && !IsTerminal(state); ++i) {
      now = now + 3600s;
      const RoundEvent last = std::holds_alternative<Aggregating>(state)
                                  ? RoundEvent(ModelStored{1, 10})
                                  : RoundEvent(RoundDeadline{});
      state = Expect(policy, state, last, now).next;
    }
    ASSERT_TRUE(IsTerminal(state)) << "seed=" << seed;
    ASSERT_LE(releases, 1u) << "seed=" << seed;
  }
}

}  // namespace
}  // namespace muster
