#include <gtest/gtest.h>

#include <set>

#include "tests/unit/agent/core_fixture.h"

namespace muster {
namespace {

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

}  // namespace
}  // namespace muster
