#include "client/agent/core.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace muster {
namespace {

constexpr Timestamp kStart{1'700'000'000'000'000};
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

Invocation MakeInvocation(const std::string& id, Duration until_deadline = minutes(5)) {
  Invocation invocation;
  invocation.id = InvocationId::Trusted(id);
  invocation.job = JobId::Trusted("job");
  invocation.round = 1;
  invocation.attempt = 1;
  invocation.deadline = kStart + until_deadline;
  return invocation;
}

DesiredState MakeDesired(uint64_t generation) {
  DesiredState desired;
  desired.generation = generation;
  desired.models.push_back({ModelName::Trusted("m"), static_cast<uint32_t>(generation), {}, true});
  return desired;
}

// Drives the step function and remembers the effects of the last step.
class AgentCore : public testing::Test {
 protected:
  AgentCore() { Begin({}); }

  void Begin(Recovered recovered) {
    if (recovered.identity.not_after == Timestamp{}) {
      recovered.identity = {kStart - hours(1), kStart + hours(24 * 7)};
    }
    Adopt(StartAgent(pace_, recovered, now_, random_));
  }
  void Feed(const AgentEvent& event) { Adopt(Step(pace_, state_, event, now_, random_)); }
  void Adopt(AgentTransition transition) {
    state_ = std::move(transition.next);
    effects_ = std::move(transition.effects);
  }
  // Lets time pass to the next wake-up and wakes.
  void Wake() {
    now_ = std::max(now_, NextWake(pace_, state_));
    Feed(Woken{});
  }
  // Until a check-in is out.
  void Ask() {
    for (int i = 0; i < 100 && !Has<AskCoordinator>(); ++i) Wake();
    ASSERT_TRUE(Has<AskCoordinator>());
  }
  void Answer(std::vector<KnownInvocation> invocations, bool in_round = false,
              std::optional<DesiredState> desired = std::nullopt, Duration next = seconds(10)) {
    Feed(CheckInAnswered{std::move(invocations), std::move(desired), next, in_round});
  }
  template <typename E>
  bool Has() const {
    return Count<E>() > 0;
  }
  template <typename E>
  size_t Count() const {
    size_t count = 0;
    for (const auto& effect : effects_) count += std::holds_alternative<E>(effect) ? 1 : 0;
    return count;
  }
  template <typename E>
  const E& Get() const {
    for (const auto& effect : effects_) {
      if (const auto* found = std::get_if<E>(&effect)) return *found;
    }
    throw std::logic_error("no such effect");
  }
  template <typename E>
  size_t IndexOf() const {
    for (size_t i = 0; i < effects_.size(); ++i) {
      if (std::holds_alternative<E>(effects_[i])) return i;
    }
    throw std::logic_error("no such effect");
  }

  Pace pace_;
  SeededRandom random_{7};
  Timestamp now_ = kStart;
  AgentState state_;
  std::vector<AgentEffect> effects_;
};

TEST_F(AgentCore, FirstCheckInComesSoonAndNotAllAtOnce) {
  std::set<int64_t> times;
  for (int i = 0; i < 20; ++i) {
    Begin({});
    EXPECT_FALSE(Has<AskCoordinator>() && Has<Execute>());
    const Timestamp wake = NextWake(pace_, state_);
    EXPECT_LT(wake, now_ + pace_.first_check_in);
    times.insert(wake.unix_us);
  }
  EXPECT_GT(times.size(), 10u);
}

TEST_F(AgentCore, KeepsTheSuggestedPaceWithinTwentyPercent) {
  for (int i = 0; i < 50; ++i) {
    Begin({});
    Ask();
    Answer({}, false, std::nullopt, seconds(100));
    const Duration wait = std::get<Waiting>(state_.line).until - now_;
    EXPECT_GE(wait, seconds(80));
    EXPECT_LE(wait, seconds(120));
  }
}

TEST_F(AgentCore, ClampsASuggestedPaceThatIsOutOfReason) {
  Ask();
  Answer({}, false, std::nullopt, Duration(0));
  EXPECT_GE(std::get<Waiting>(state_.line).until - now_, milliseconds(80));
  Ask();
  Answer({}, false, std::nullopt, hours(24 * 365));
  EXPECT_LE(std::get<Waiting>(state_.line).until - now_, hours(29));
}

TEST_F(AgentCore, StaysAwayAsLongAsTheCoordinatorAsksAndNotAllDevicesEquallyLong) {
  std::set<int64_t> waits;
  for (int i = 0; i < 50; ++i) {
    Begin({});
    Ask();
    Feed(CheckInFailed{absl::StatusCode::kResourceExhausted, "busy", seconds(30)});
    const Duration wait = std::get<Waiting>(state_.line).until - now_;
    EXPECT_GE(wait, seconds(30));
    EXPECT_LE(wait, seconds(45));
    waits.insert(wait.count());
  }
  EXPECT_GT(waits.size(), 40u);
  Begin({});
  Ask();
  Feed(CheckInFailed{absl::StatusCode::kResourceExhausted, "busy", hours(24 * 365)});
  EXPECT_LE(std::get<Waiting>(state_.line).until - now_, hours(36))
      << "no word silences it for good";
}

TEST_F(AgentCore, HoldsTheLineOnlyInARound) {
  Ask();
  EXPECT_EQ(Get<AskCoordinator>().wait, milliseconds(0));
  Answer({}, /*in_round=*/true);
  Ask();
  EXPECT_EQ(Get<AskCoordinator>().wait, limits::kMaxCheckInWait);
  EXPECT_LT(now_ - kStart, seconds(2)) << "in a round the next check-in follows at once";
  Answer({}, /*in_round=*/false);
  Ask();
  EXPECT_EQ(Get<AskCoordinator>().wait, milliseconds(0));
}

TEST_F(AgentCore, ARoundThatAnswersAtOnceIsNoBusyLoop) {
  Ask();
  const Timestamp begin = now_;
  for (int i = 0; i < 10; ++i) {
    Answer({}, true);
    Ask();
  }
  EXPECT_GE(now_ - begin, pace_.in_round_min * 9);
}

TEST_F(AgentCore, BacksOffWithFullJitterUpToTheCap) {
  Duration longest{0};
  for (int i = 0; i < 40; ++i) {
    Ask();
    Feed(CheckInFailed{absl::StatusCode::kUnavailable, "no route"});
    const Duration wait = std::get<Waiting>(state_.line).until - now_;
    const Duration limit =
        std::min<Duration>(pace_.backoff_cap, pace_.backoff_base * (1ll << std::min(i, 20)));
    EXPECT_LE(wait, std::max(limit, pace_.in_round_min));
    longest = std::max(longest, wait);
  }
  EXPECT_GT(longest, minutes(1));
  Ask();
  Answer({});
  EXPECT_EQ(state_.failures, 0u);
}

TEST_F(AgentCore, ANewInvocationIsRememberedBeforeItRuns) {
  Ask();
  Answer({{MakeInvocation("a"), std::nullopt}});
  ASSERT_TRUE(Has<RememberInvocation>());
  ASSERT_TRUE(Has<Execute>());
  EXPECT_LT(IndexOf<RememberInvocation>(), IndexOf<Execute>());
}

TEST_F(AgentCore, ARepeatedInvocationIsNotStartedTwice) {
  Ask();
  Answer({{MakeInvocation("a"), std::nullopt}, {MakeInvocation("b"), std::nullopt}}, true);
  EXPECT_EQ(Count<Execute>(), 1u);
  state_.line = Asking{now_};
  Answer({{MakeInvocation("a"), Stage::kRunning}, {MakeInvocation("b"), Stage::kReceived}}, true);
  EXPECT_FALSE(Has<Execute>());
  EXPECT_FALSE(Has<RememberInvocation>());
  EXPECT_EQ(state_.pending.size(), 1u);
}

TEST_F(AgentCore, OneInvocationAtATimeAndItsAnswerGoesFirst) {
  Ask();
  Answer({{MakeInvocation("a"), std::nullopt}, {MakeInvocation("b"), std::nullopt}});
  EXPECT_EQ(Get<Execute>().invocation.id.value(), "a");
  Feed(InvocationReady{InvocationId::Trusted("a")});
  EXPECT_EQ(Get<SendAnswer>().id.value(), "a");
  EXPECT_FALSE(Has<Execute>());
  Feed(AnswerTaken{InvocationId::Trusted("a")});
  EXPECT_EQ(Get<Execute>().invocation.id.value(), "b");
}

TEST_F(AgentCore, AnAnsweredInvocationGetsItsStoredAnswerAgain) {
  for (Stage stage : {Stage::kReady, Stage::kAnswered}) {
    Begin({});
    Ask();
    Answer({{MakeInvocation("a"), stage}});
    EXPECT_TRUE(Has<SendAnswer>());
    EXPECT_FALSE(Has<Execute>());
    EXPECT_FALSE(Has<RememberInvocation>());
  }
}

TEST_F(AgentCore, AnAnswerThatCannotBeSentIsKeptAndSentAgain) {
  Ask();
  Answer({{MakeInvocation("a"), std::nullopt}});
  Feed(InvocationReady{InvocationId::Trusted("a")});
  for (int i = 0; i < 5; ++i) {
    Feed(AnswerFailed{InvocationId::Trusted("a"), absl::StatusCode::kUnavailable, "gone"});
    EXPECT_FALSE(Has<SendAnswer>() && state_.unsent.front().not_before > now_);
    for (int j = 0; j < 50 && !Has<SendAnswer>(); ++j) {
      Wake();
      if (Has<AskCoordinator>()) Answer({});
    }
    ASSERT_TRUE(Has<SendAnswer>());
  }
  EXPECT_FALSE(Has<Execute>());
}

TEST_F(AgentCore, AnAnswerThatIsTurnedDownForGoodIsForgotten) {
  Ask();
  Answer({{MakeInvocation("a"), std::nullopt}});
  Feed(InvocationReady{InvocationId::Trusted("a")});
  Feed(AnswerFailed{InvocationId::Trusted("a"), absl::StatusCode::kInvalidArgument, "bad"});
  EXPECT_EQ(Get<ForgetInvocation>().reason, "bad");
  EXPECT_TRUE(state_.unsent.empty());
}

TEST_F(AgentCore, AnAnswerOutlivesItsDeadlineForOneTryOnly) {
  Ask();
  Answer({{MakeInvocation("a", seconds(30)), std::nullopt}});
  now_ = kStart + seconds(40);
  Feed(InvocationReady{InvocationId::Trusted("a")});
  EXPECT_TRUE(Has<SendAnswer>());
  Feed(AnswerFailed{InvocationId::Trusted("a"), absl::StatusCode::kUnavailable, "gone"});
  EXPECT_TRUE(Has<ForgetInvocation>());
  EXPECT_TRUE(state_.unsent.empty());
}

TEST_F(AgentCore, AnInvocationThatComesTooLateIsAnsweredWithTheReason) {
  Ask();
  Answer({{MakeInvocation("a", -seconds(1)), std::nullopt}});
  ASSERT_TRUE(Has<StoreFailure>());
  EXPECT_LT(IndexOf<RememberInvocation>(), IndexOf<StoreFailure>());
  EXPECT_NE(Get<StoreFailure>().reason.find("deadline"), std::string::npos);
  EXPECT_TRUE(Has<SendAnswer>());
  EXPECT_FALSE(Has<Execute>());
}

TEST_F(AgentCore, AnInvocationThatWaitedTooLongIsNotStarted) {
  Ask();
  Answer({{MakeInvocation("a", hours(1)), std::nullopt},
          {MakeInvocation("b", minutes(1)), std::nullopt}});
  now_ = kStart + minutes(2);
  Feed(InvocationReady{InvocationId::Trusted("a")});
  EXPECT_EQ(Get<StoreFailure>().id.value(), "b");
  Feed(AnswerTaken{InvocationId::Trusted("a")});
  EXPECT_EQ(Get<SendAnswer>().id.value(), "b");
}

TEST_F(AgentCore, ABrokenAttemptIsTriedAgainAfterAPause) {
  Ask();
  Answer({{MakeInvocation("a"), std::nullopt}});
  Feed(ExecutionBroke{InvocationId::Trusted("a"), "disk full"});
  EXPECT_FALSE(Has<Execute>());
  const Timestamp broke = now_;
  for (int i = 0; i < 50 && !Has<Execute>(); ++i) {
    Wake();
    if (Has<AskCoordinator>() && !Has<Execute>()) Answer({});
  }
  ASSERT_TRUE(Has<Execute>());
  EXPECT_GE(now_ - broke, pace_.execute_retry);
}

TEST_F(AgentCore, TheQueueIsBoundedAndTheRestStaysWithTheCoordinator) {
  std::vector<KnownInvocation> many;
  for (int i = 0; i < 40; ++i) many.push_back({MakeInvocation("i" + std::to_string(i)), {}});
  Ask();
  Answer(many);
  EXPECT_EQ(state_.pending.size() + 1, kMaxPendingInvocations);
  EXPECT_EQ(Count<RememberInvocation>(), kMaxPendingInvocations);
}

TEST_F(AgentCore, WhileAnInvocationRunsCheckInsWaitButNotForever) {
  Ask();
  const Timestamp asked = now_;
  Answer({{MakeInvocation("a", hours(2)), std::nullopt}}, true);
  Ask();
  EXPECT_GE(now_ - asked, pace_.silence_max);
  EXPECT_EQ(Get<AskCoordinator>().wait, milliseconds(0));
}

TEST_F(AgentCore, AfterAnInvocationInARoundTheNextCheckInFollowsAtOnce) {
  Ask();
  Answer({{MakeInvocation("a"), std::nullopt}}, true);
  now_ = now_ + seconds(3);
  Feed(InvocationReady{InvocationId::Trusted("a")});
  Feed(AnswerTaken{InvocationId::Trusted("a")});
  if (!Has<AskCoordinator>()) Wake();
  EXPECT_TRUE(Has<AskCoordinator>());
  EXPECT_LT(now_ - kStart, seconds(5));
}

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
