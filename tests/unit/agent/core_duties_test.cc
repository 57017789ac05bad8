#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/agent/core_fixture.h"

namespace muster {
namespace {

TEST_F(AgentCore, DesiredStateIsDurableBeforeItIsReconciled) {
  Ask();
  Answer({}, false, MakeDesired(3));
  ASSERT_TRUE(Has<RememberDesired>() && Has<Reconcile>());
  EXPECT_LT(IndexOf<RememberDesired>(), IndexOf<Reconcile>());
  Ask();
  EXPECT_EQ(Get<AskCoordinator>().known_generation, 3u);
}

TEST_F(AgentCore, AnyOldGenerationJumpsToTheNewest) {
  Ask();
  Answer({}, false, MakeDesired(1));
  EXPECT_EQ(Get<Reconcile>().desired.generation, 1u);
  for (uint64_t generation : {2, 3, 7}) {
    state_.line = Asking{now_};
    Answer({}, false, MakeDesired(generation));
    EXPECT_FALSE(Has<Reconcile>()) << "one at a time";
  }
  Feed(ReconcileEnded{1, false});
  EXPECT_EQ(Get<Reconcile>().desired.generation, 7u);
}

TEST_F(AgentCore, AnOlderGenerationIsIgnored) {
  Ask();
  Answer({}, false, MakeDesired(5));
  Feed(ReconcileEnded{5, false});
  Feed(ReportSent{});
  Ask();
  Answer({}, false, MakeDesired(4));
  EXPECT_FALSE(Has<RememberDesired>());
  EXPECT_FALSE(Has<Reconcile>());
  EXPECT_EQ(state_.told_generation, 5u);
}

TEST_F(AgentCore, AReconciliationThatMaySucceedLaterIsTriedAgainAndReported) {
  Ask();
  Answer({}, false, MakeDesired(1));
  Feed(ReconcileEnded{1, true});
  EXPECT_TRUE(Has<SendReport>());
  Feed(ReportSent{});
  for (int i = 0; i < 50 && !Has<Reconcile>(); ++i) {
    Wake();
    if (Has<AskCoordinator>() && !Has<Reconcile>()) Answer({});
  }
  EXPECT_EQ(Get<Reconcile>().desired.generation, 1u);
  Feed(ReconcileEnded{1, false});
  EXPECT_FALSE(state_.desired.has_value());
}

TEST_F(AgentCore, ReconcilingAndInvocationsTakeTurns) {
  Ask();
  Answer({{MakeInvocation("a"), {}}, {MakeInvocation("b"), {}}}, true, MakeDesired(1));
  EXPECT_TRUE(Has<Reconcile>());
  Feed(ReconcileEnded{1, true});
  EXPECT_EQ(Get<Execute>().invocation.id.value(), "a");
  now_ = now_ + minutes(1);
  Feed(InvocationReady{InvocationId::Trusted("a")});
  Feed(AnswerTaken{InvocationId::Trusted("a")});
  EXPECT_TRUE(Has<Reconcile>());
  Feed(ReconcileEnded{1, true});
  EXPECT_EQ(Get<Execute>().invocation.id.value(), "b");
}

TEST_F(AgentCore, AFailedReportIsSentAgain) {
  Feed(ReportWanted{});
  EXPECT_TRUE(Has<SendReport>());
  Feed(ReportFailed{absl::StatusCode::kUnavailable, "gone"});
  for (int i = 0; i < 50 && !Has<SendReport>(); ++i) {
    Wake();
    if (Has<AskCoordinator>() && !Has<SendReport>()) Answer({});
  }
  EXPECT_TRUE(Has<SendReport>());
  Feed(ReportSent{true});
  EXPECT_TRUE(Has<SendReport>()) << "news beyond the report follows at once";
  Feed(ReportSent{false});
  EXPECT_FALSE(Has<SendReport>());
}

TEST_F(AgentCore, RenewsAtTwoThirdsOfTheLifetime) {
  Recovered recovered;
  recovered.identity = {kStart, kStart + hours(3)};
  Begin(recovered);
  while (now_ < kStart + hours(2) - minutes(7)) {
    Ask();
    EXPECT_FALSE(Has<Renew>());
    Answer({}, false, std::nullopt, minutes(5));
  }
  now_ = kStart + hours(2);
  state_.line = Waiting{now_ + hours(1)};
  Feed(Woken{});
  EXPECT_TRUE(Has<Renew>());
  EXPECT_FALSE(Has<AskCoordinator>());
  Feed(IdentityLoaded{{now_, now_ + hours(3)}});
  EXPECT_TRUE(Has<AskCoordinator>());
}

TEST_F(AgentCore, AFailedRenewalDoesNotStopTheWork) {
  Recovered recovered;
  recovered.identity = {kStart - hours(2), kStart + hours(1)};
  Begin(recovered);
  ASSERT_TRUE(Has<Renew>());
  Feed(RenewalFailed{absl::StatusCode::kUnavailable, "gone"});
  EXPECT_TRUE(Has<AskCoordinator>() || Has<Renew>());
  for (int i = 0; i < 20 && !Has<AskCoordinator>(); ++i) {
    if (Has<Renew>()) Feed(RenewalFailed{absl::StatusCode::kUnavailable, "gone"});
  }
  EXPECT_TRUE(Has<AskCoordinator>());
}

class RefusedCodes : public AgentCore, public testing::WithParamInterface<absl::StatusCode> {};
TEST_P(RefusedCodes, ARevokedDeviceStopsAskingAndRetriesSlowly) {
  Ask();
  Answer({}, false, MakeDesired(1));
  Feed(ReconcileEnded{1, true});
  Feed(ReportSent{});
  Ask();
  Feed(CheckInFailed{GetParam(), "revoked"});
  ASSERT_TRUE(std::holds_alternative<Refused>(state_.line));
  EXPECT_EQ(Get<Say>().level, LogLevel::kError);
  const Timestamp refused = now_;
  while (!Has<Reload>()) {
    Wake();
    EXPECT_FALSE(Has<AskCoordinator>() || Has<Execute>() || Has<Reconcile>() || Has<SendReport>() ||
                 Has<SendAnswer>());
  }
  EXPECT_GE(now_ - refused, pace_.refused_retry * 8 / 10);
  Feed(IdentityLoaded{state_.identity});
  EXPECT_TRUE(Has<AskCoordinator>()) << "readmitted devices come back by themselves";
}
INSTANTIATE_TEST_SUITE_P(Both, RefusedCodes,
                         testing::Values(absl::StatusCode::kPermissionDenied,
                                         absl::StatusCode::kUnauthenticated));

TEST_F(AgentCore, AnExpiredCertificateIsNotPresented) {
  Recovered recovered;
  recovered.identity = {kStart - hours(3), kStart - hours(1)};
  Begin(recovered);
  EXPECT_TRUE(std::holds_alternative<Refused>(state_.line));
  EXPECT_FALSE(Has<AskCoordinator>() || Has<Renew>());
  while (!Has<Reload>()) Wake();
  Feed(IdentityLoaded{{now_, now_ + hours(24)}});  // enrolled again meanwhile
  EXPECT_TRUE(Has<AskCoordinator>());
}

TEST_F(AgentCore, AfterARestartUnfinishedWorkGoesOn) {
  Recovered recovered;
  recovered.unfinished = {{MakeInvocation("ready"), Stage::kReady},
                          {MakeInvocation("running"), Stage::kRunning},
                          {MakeInvocation("received"), Stage::kReceived}};
  recovered.told_generation = 4;
  recovered.desired = MakeDesired(4);
  Begin(recovered);
  EXPECT_EQ(Get<SendAnswer>().id.value(), "ready");
  Feed(AnswerTaken{InvocationId::Trusted("ready")});
  EXPECT_TRUE(Has<Reconcile>());
  Feed(ReconcileEnded{4, false});
  EXPECT_EQ(Get<Execute>().invocation.id.value(), "running");
}

TEST_F(AgentCore, StaleEventsChangeNothing) {
  const std::vector<AgentEvent> stale = {
      CheckInAnswered{{{MakeInvocation("x"), {}}}, MakeDesired(9), seconds(1), true},
      CheckInFailed{absl::StatusCode::kUnavailable, "x"},
      InvocationReady{InvocationId::Trusted("x")},
      ExecutionBroke{InvocationId::Trusted("x"), "x"},
      AnswerTaken{InvocationId::Trusted("x")},
      AnswerFailed{InvocationId::Trusted("x"), absl::StatusCode::kUnavailable, "x"},
      ReconcileEnded{9, true},
      ReportSent{},
      ReportFailed{absl::StatusCode::kUnavailable, "x"},
      IdentityLoaded{{kStart, kStart}},
      RenewalFailed{absl::StatusCode::kUnavailable, "x"}};
  for (const AgentEvent& event : stale) {
    Feed(event);
    ASSERT_EQ(effects_.size(), 1u) << event.index();
    EXPECT_EQ(Get<Say>().level, LogLevel::kDebug) << event.index();
    EXPECT_TRUE(std::holds_alternative<Waiting>(state_.line));
    EXPECT_TRUE(std::holds_alternative<Free>(state_.lane));
    EXPECT_TRUE(state_.pending.empty() && state_.unsent.empty());
  }
}

// Whatever comes in whatever order: no busy loop, one piece of work at a time, bounded queues.
TEST_F(AgentCore, AnyOrderOfEventsKeepsTheInvariants) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SeededRandom dice(seed);
    now_ = kStart;
    Begin({});
    for (int i = 0; i < 300; ++i) {
      const InvocationId id = InvocationId::Trusted("i" + std::to_string(dice.Below(6)));
      const auto code =
          dice.Below(2) == 0 ? absl::StatusCode::kUnavailable : absl::StatusCode::kPermissionDenied;
      switch (dice.Below(12)) {
        case 0: {
          Invocation invocation = MakeInvocation(id.value());
          invocation.deadline = now_ + seconds(static_cast<int64_t>(dice.Below(120)));
          Answer({{invocation, std::nullopt}}, dice.Below(2) == 0, MakeDesired(dice.Below(20)));
          break;
        }
        case 1:
          Feed(CheckInFailed{code, "x"});
          break;
        case 2:
          Feed(InvocationReady{id});
          break;
        case 3:
          Feed(ExecutionBroke{id, "x"});
          break;
        case 4:
          Feed(AnswerTaken{id});
          break;
        case 5:
          Feed(AnswerFailed{id, code, "x"});
          break;
        case 6:
          Feed(ReconcileEnded{state_.told_generation, dice.Below(2) == 0});
          break;
        case 7:
          Feed(ReportSent{dice.Below(2) == 0});
          break;
        case 8:
          Feed(ReportFailed{code, "x"});
          break;
        case 9:
          Feed(IdentityLoaded{{now_, now_ + hours(24)}});
          break;
        case 10:
          Feed(RenewalFailed{code, "x"});
          break;
        default:
          Wake();
          break;
      }
      ASSERT_LE(Count<Execute>() + Count<SendAnswer>() + Count<Reconcile>() + Count<SendReport>(),
                1u)
          << "seed=" << seed;
      ASSERT_LE(Count<AskCoordinator>() + Count<Renew>() + Count<Reload>(), 1u) << "seed=" << seed;
      ASSERT_LE(state_.pending.size(), kMaxPendingInvocations + 1) << "seed=" << seed;
      ASSERT_GT(NextWake(pace_, state_), now_) << "seed=" << seed << " step " << i;
    }
  }
}

TEST(AgentBackoff, NeverPassesTheCap) {
  SeededRandom random(3);
  for (uint32_t failures = 0; failures < 100; ++failures) {
    EXPECT_LT(Backoff(seconds(1), minutes(5), failures, random), minutes(5));
  }
}

}  // namespace
}  // namespace muster
