// What is printed: JSON conventions, tables, progress, promotions, exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/cli/duration.h"
#include "coordinator/cli/exit_code.h"
#include "coordinator/cli/json_view.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/rollout_view.h"
#include "coordinator/cli/text.h"
#include "muster/v1/operator.pb.h"

namespace muster::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(JsonView, ScalarsAreThereEvenWhenTheyAreZero) {
  EXPECT_EQ(ViewOf(v1::UsageRow()).dump(),
            R"({"job":"","device":"","invocations":0,"wall_us":0,"cpu_us":0,"bytes_up":0,)"
            R"("bytes_down":0,"cold_starts":0})");
}

TEST(JsonView, EnumsAreShortDigestsHexAndBigNumbersNumbers) {
  v1::Job job;
  job.set_phase(v1::JOB_PHASE_FINISHING);
  job.set_latest_weights(std::string(2, '\xAB'));
  job.set_submitted_unix_us(1'700'000'000'000'001);
  const Json view = ViewOf(job);
  EXPECT_EQ(view["phase"], "finishing");
  EXPECT_EQ(view["latest_weights"], "abab");
  EXPECT_EQ(view["submitted_unix_us"].dump(), "1700000000000001");
}

TEST(JsonView, EveryPhaseHasTheNameThatScriptsKnow) {
  EXPECT_EQ(ShortName(*v1::PromotionPhase_descriptor(), v1::PROMOTION_PHASE_ROLLED_BACK),
            "rolled_back");
  EXPECT_EQ(ShortName(*v1::RoundPhase_descriptor(), v1::ROUND_PHASE_COMMITTED), "committed");
  EXPECT_EQ(ShortName(*v1::ModelPhase_descriptor(), v1::MODEL_PHASE_LIVE), "live");
  EXPECT_EQ(ShortName(*v1::JobPhase_descriptor(), 0), "unspecified");
  EXPECT_EQ(ShortName(*v1::ServerOptimizer_descriptor(), v1::SERVER_OPTIMIZER_FEDADAM), "fedadam");
}

TEST(JsonView, MapsAreObjectsAndUnsetMessagesNull) {
  v1::RoundSummary round;
  (*round.mutable_metrics())["train_loss"] = 0.5;
  EXPECT_EQ(ViewOf(round)["metrics"].dump(), R"({"train_loss":0.5})");
  EXPECT_EQ(ViewOf(round)["evaluation"].dump(), "{}");
  EXPECT_TRUE(ViewOf(v1::PromotionDevice())["status"].is_null());
}

TEST(JsonView, OfAOneofOnlyWhatIsSet) {
  v1::Layer layer;
  layer.mutable_relu();
  EXPECT_EQ(ViewOf(layer).dump(), R"({"relu":{}})");
}

TEST(Text, NumbersReadAsPeopleWriteThem) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(246'824), "246.8 kB");
  EXPECT_EQ(FormatBytes(999'999), "1.0 MB");
  EXPECT_EQ(FormatPercent(0.8123), "81.2%");
  EXPECT_EQ(FormatTime(1'700'000'000'000'000), "2023-11-14 22:13:20 UTC");
  EXPECT_EQ(FormatAge(0, {5}), "never");
  EXPECT_EQ(FormatAge(1, {1 + 200'000'000}), "3 min ago");
}

TEST(Text, WhatComesOverTheWireCannotSteerTheTerminal) {
  EXPECT_EQ(Printable("a\033[2Jb\nc"), "a?[2Jb c");
}

TEST(Table, ColumnsLineUpAndColorsDoNotCount) {
  Table table({{"NAME"}, {"N", Table::Align::kRight}, {"STATE"}});
  table.Add({"a", "7", {"live", Color::kGreen}});
  table.Add({"longer", "1,000", "x"});
  EXPECT_EQ(table.Render(false),
            "NAME        N  STATE\n"
            "a           7  live\n"
            "longer  1,000  x\n");
  EXPECT_THAT(table.Render(true), HasSubstr("7  \033[32mlive\033[0m\n"));
}

TEST(DurationText, IsParsedWithUnitsOnly) {
  EXPECT_EQ(*ParseDuration("30s"), std::chrono::seconds(30));
  EXPECT_EQ(*ParseDuration("1h30m"), std::chrono::minutes(90));
  EXPECT_EQ(*ParseDuration("250ms"), std::chrono::milliseconds(250));
  for (const char* bad : {"", "30", "s", "-1s", "1.5s", "1x", "9999999999999999999s", "1000000000d",
                          "100000000d99999999d"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
}

v1::RoundSummary Round(uint32_t number, v1::RoundPhase phase) {
  v1::RoundSummary round;
  round.set_number(number);
  round.set_attempt(1);
  round.set_phase(phase);
  round.set_invited(10);
  round.set_reported(9);
  return round;
}

v1::GetJobResponse View(std::vector<v1::RoundSummary> rounds, bool evaluated) {
  v1::GetJobResponse view;
  view.mutable_job()->set_phase(v1::JOB_PHASE_RUNNING);
  view.mutable_job()->set_rounds_total(3);
  view.mutable_spec()->mutable_round()->set_clients(10);
  view.mutable_spec()->mutable_evaluation()->set_enabled(evaluated);
  view.mutable_spec()->mutable_evaluation()->set_every(1);
  for (auto& round : rounds) *view.add_rounds() = round;
  return view;
}

std::vector<uint32_t> Numbers(const std::vector<v1::RoundSummary>& rounds) {
  std::vector<uint32_t> numbers;
  for (const auto& round : rounds) numbers.push_back(round.number());
  return numbers;
}

TEST(Progress, ARoundIsToldOnceWhenItIsOver) {
  JobProgress progress;
  EXPECT_THAT(progress.Update(View({Round(1, v1::ROUND_PHASE_COLLECTING)}, false)), IsEmpty());
  const auto view =
      View({Round(1, v1::ROUND_PHASE_COMMITTED), Round(2, v1::ROUND_PHASE_COLLECTING)}, false);
  EXPECT_THAT(Numbers(progress.Update(view)), ElementsAre(1));
  EXPECT_THAT(progress.Update(view), IsEmpty());
  EXPECT_EQ(progress.from_round(), 2u);
}

TEST(Progress, ACommittedRoundWaitsForItsEvaluation) {
  JobProgress progress;
  auto round = Round(1, v1::ROUND_PHASE_COMMITTED);
  const auto open = Round(2, v1::ROUND_PHASE_COLLECTING);
  EXPECT_THAT(progress.Update(View({round, open}, true)), IsEmpty());
  EXPECT_EQ(progress.from_round(), 1u) << "it is still needed";
  (*round.mutable_evaluation())["accuracy"] = 0.8;
  EXPECT_THAT(Numbers(progress.Update(View({round, open}, true))), ElementsAre(1));
}

TEST(Progress, AnEvaluationThatNeverComesHoldsNothingUp) {
  JobProgress progress;
  const auto first = Round(1, v1::ROUND_PHASE_COMMITTED);
  auto view = View({first, Round(2, v1::ROUND_PHASE_COMMITTED)}, true);
  EXPECT_THAT(Numbers(progress.Update(view)), ElementsAre(1));
  view.mutable_job()->set_phase(v1::JOB_PHASE_SUCCEEDED);
  EXPECT_THAT(Numbers(progress.Update(view)), ElementsAre(2));
}

TEST(Progress, AbandonedAttemptsAreToldToo) {
  JobProgress progress;
  auto again = Round(1, v1::ROUND_PHASE_COMMITTED);
  again.set_attempt(2);
  EXPECT_THAT(Numbers(progress.Update(View({Round(1, v1::ROUND_PHASE_ABANDONED), again}, false))),
              ElementsAre(1, 1));
}

TEST(Progress, ALineHasEverythingThatTheRoundSays) {
  auto round = Round(3, v1::ROUND_PHASE_COMMITTED);
  round.set_examples(20'000);
  (*round.mutable_metrics())["train_loss"] = 0.513;
  (*round.mutable_metrics())["train_accuracy"] = 0.812;
  (*round.mutable_evaluation())["accuracy"] = 0.8;
  round.set_bytes_up(1'500'000);
  round.set_opened_unix_us(1'000'000);
  round.set_closed_unix_us(7'200'000);
  EXPECT_EQ(RoundLine(round, 20),
            "round 3/20  9 of 10 clients  20,000 examples  train loss 0.513, accuracy 81.2%  "
            "evaluation accuracy 80.0%  1.5 MB up, 0 B down  6.2 s");
  round.set_phase(v1::ROUND_PHASE_ABANDONED);
  round.set_reason("2 of 8 updates");
  EXPECT_THAT(RoundLine(round, 20), HasSubstr("abandoned: 2 of 8 updates"));
}

TEST(Progress, TheOpenRoundHasABar) {
  auto open = Round(2, v1::ROUND_PHASE_COLLECTING);
  open.set_reported(5);
  open.set_opened_unix_us(1'000'000);
  EXPECT_EQ(OpenRoundLine(View({open}, false), {3'100'000}),
            "round 2/3 [##########..........] 5 of 10 clients  2.1 s");
}

TEST(Progress, AnExchangeOfSecureAggregationCountsThoseThatAnswered) {
  auto open = Round(2, v1::ROUND_PHASE_MASKING);
  open.set_reported(8);
  open.set_answered(4);
  open.set_opened_unix_us(1'000'000);
  EXPECT_EQ(OpenRoundLine(View({open}, false), {3'100'000}),
            "round 2/3 [##########..........] 4 of 8 clients, sending masked updates  2.1 s");
  for (const auto phase :
       {v1::ROUND_PHASE_SHARING, v1::ROUND_PHASE_AGREEING, v1::ROUND_PHASE_UNMASKING}) {
    open.set_phase(phase);
    EXPECT_THAT(OpenRoundLine(View({open}, false), {3'100'000}), HasSubstr("4 of 8 clients, "));
  }
}

TEST(Privacy, ItsLineTellsWhatIsSpentAndWhatThereIs) {
  v1::JobPrivacy privacy;
  privacy.set_kind(v1::PRIVACY_KIND_CENTRAL);
  privacy.set_epsilon(3.2149);
  privacy.set_delta(1e-5);
  privacy.set_epsilon_budget(8);
  EXPECT_EQ(PrivacyLine(privacy),
            "differential privacy (central): (epsilon 3.215, delta 1e-05) so far, budget 8");
}

v1::Promotion Rollout(v1::PromotionPhase phase, uint32_t total, uint32_t live, uint32_t failed) {
  v1::Promotion promotion;
  promotion.set_phase(phase);
  promotion.set_devices_total(total);
  promotion.set_devices_live(live);
  promotion.set_devices_failed(failed);
  promotion.set_devices_pending(total - live - failed);
  return promotion;
}

TEST(RolloutView, IsDecidedWhenTheDevicesHaveDecided) {
  using enum RolloutDecision;
  constexpr auto kRolling = v1::PROMOTION_PHASE_ROLLING_OUT;
  EXPECT_EQ(DecisionOf(Rollout(v1::PROMOTION_PHASE_LIVE, 3, 3, 0)), kLive);
  EXPECT_EQ(DecisionOf(Rollout(kRolling, 3, 2, 0)), kPending);
  EXPECT_EQ(DecisionOf(Rollout(kRolling, 3, 1, 1)), kPending);
  EXPECT_EQ(DecisionOf(Rollout(kRolling, 3, 2, 1)), kFailed);
  EXPECT_EQ(DecisionOf(Rollout(kRolling, 0, 0, 0)), kFailed);
  EXPECT_EQ(DecisionOf(Rollout(v1::PROMOTION_PHASE_SUPERSEDED, 3, 0, 0)), kFailed);
  EXPECT_EQ(DecisionOf(Rollout(v1::PROMOTION_PHASE_ROLLED_BACK, 3, 0, 0)), kFailed);
}

TEST(RolloutView, SaysWhichDeviceFailedAndWhy) {
  v1::Promotion promotion = Rollout(v1::PROMOTION_PHASE_ROLLING_OUT, 1, 0, 1);
  v1::PromotionDevice& device = *promotion.add_devices();
  device.set_device("device-03");
  device.set_seen(true);
  device.mutable_status()->set_phase(v1::MODEL_PHASE_FAILED);
  device.mutable_status()->set_reason("no space left");
  EXPECT_THAT(WhyNotLive(promotion, std::chrono::minutes(5)),
              HasSubstr("(device-03: no space left)"));
}

TEST(ExitCode, FollowsTheStatus) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::InternalError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::FailedPreconditionError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::PermissionDeniedError("")), 4);
  EXPECT_EQ(ExitCodeOf(absl::UnauthenticatedError("")), 4);
  EXPECT_EQ(CodeName(absl::StatusCode::kPermissionDenied), "permission_denied");
}

}  // namespace
}  // namespace muster::cli
