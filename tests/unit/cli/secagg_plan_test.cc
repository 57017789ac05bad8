// What secure aggregation is said to need and to cost.
#include "coordinator/cli/secagg_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/share_box.h"
#include "coordinator/cli/program.h"
#include "tests/support/temp_folder.h"

namespace muster::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

constexpr uint64_t kMillion = 1'000'000;

secagg::Assumptions Clients(uint32_t n, secagg::Mode mode = secagg::Mode::kSemiHonest) {
  return {.clients = n, .drop = 0.1, .corrupt = 0.1, .mode = mode};
}
const PhaseBytes& Phase(const SecAggPlan& plan, std::string_view name) {
  for (const PhaseBytes& phase : plan.phases) {
    if (phase.phase == name) return phase;
  }
  ADD_FAILURE() << "there is no exchange " << name;
  return plan.phases.front();
}

TEST(SecAggPlan, AddsUpTheExchangesOfOneClient) {
  const auto plan = MakeSecAggPlan(Clients(100), kMillion, 32);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->graph.neighbours, 22u);
  EXPECT_EQ(plan->graph.threshold, 11u);
  uint64_t up = 0, down = 0;
  for (const PhaseBytes& phase : plan->phases) {
    up += phase.up;
    down += phase.down;
  }
  EXPECT_EQ(plan->up, up);
  EXPECT_EQ(plan->down, down);
  EXPECT_GT(plan->vector_bytes, kMillion * 4);
  EXPECT_LT(plan->vector_bytes, kMillion * 4 + 100) << "and a few lanes";
  EXPECT_GT(Phase(*plan, "masked update").up, plan->vector_bytes);
  EXPECT_GT(Phase(*plan, "advertise").down, 22 * 600u) << "the neighbours' certificates";
  EXPECT_GT(Phase(*plan, "share").up, 22 * secagg::kBoxBytes);
  EXPECT_GT(Phase(*plan, "unmask").up, 22 * secagg::kShareBytes);
}

TEST(SecAggPlan, CountsTheMasksOfBothSides) {
  const auto plan = MakeSecAggPlan(Clients(100), kMillion, 32);
  EXPECT_EQ(plan->client_masks, 23u) << "one for each neighbour and its own";
  // 90 survivors' own; for each of 10 dropouts those that 20 of its 22 neighbours share with it.
  EXPECT_EQ(plan->coordinator_masks, 90u + 10 * 20);
}

TEST(SecAggPlan, FewerBitsMakeSmallerAndCoarserVectors) {
  const auto narrow = MakeSecAggPlan(Clients(100), kMillion, 16);
  const auto wide = MakeSecAggPlan(Clients(100), kMillion, 64);
  ASSERT_TRUE(narrow.ok() && wide.ok());
  EXPECT_EQ(narrow->vector_bytes * 4, wide->vector_bytes);
  EXPECT_LT(narrow->magnitude, wide->magnitude);
  EXPECT_EQ(narrow->magnitude, 32767u / 100 - 1);
}

TEST(SecAggPlan, MaliciousModeHasOneMoreExchangeAndMoreNeighbours) {
  secagg::Assumptions malicious = Clients(100, secagg::Mode::kMalicious);
  malicious.sigma = 80;
  const auto plan = MakeSecAggPlan(malicious, kMillion, 32);
  const auto honest = MakeSecAggPlan(Clients(100), kMillion, 32);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->phases.size(), honest->phases.size() + 1);
  EXPECT_GT(Phase(*plan, "agree").up, 64u) << "a signature";
  EXPECT_GT(plan->graph.neighbours, honest->graph.neighbours);
  EXPECT_GT(Phase(*plan, "unmask").down, plan->graph.neighbours * 64u) << "their signatures";
}

TEST(SecAggPlan, RefusesWhatIsNotSafeAndWhatOverflows) {
  EXPECT_EQ(MakeSecAggPlan(Clients(3), kMillion, 32).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MakeSecAggPlan(Clients(30'000), kMillion, 16).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(SecAggPlan, MeasuresTheKernelThatSessionsUse) {
  const MaskSpeed speed = MeasureMasking(32);
  EXPECT_FALSE(speed.kernel.empty());
  EXPECT_GT(speed.bytes_per_second, 0);
}

class SecAggPlanCommand : public testing::Test {
 protected:
  int Run(std::vector<std::string> words) {
    out_.str("");
    err_.str("");
    words.insert(words.begin(), {"secagg", "plan"});
    return RunProgram(words, environment_, {.out = out_, .err = err_});
  }
  TempFolder folder_;
  Environment environment_{{"XDG_CONFIG_HOME", folder_.path().string()}};
  std::ostringstream out_, err_;
};

TEST_F(SecAggPlanCommand, NeedsNoCoordinator) {
  ASSERT_EQ(Run({"--clients", "100"}), 0) << err_.str();
  const std::string text = out_.str();
  EXPECT_THAT(text, HasSubstr("clients     100; up to 10.0% may drop out, and up to 10.0%, at "
                              "least 2 clients, may collude with the coordinator\n"));
  EXPECT_THAT(text, HasSubstr("mode        semi-honest\n"));
  EXPECT_THAT(text, HasSubstr("neighbours  22 for each client\n"));
  EXPECT_THAT(text, HasSubstr("threshold   11 "));
  EXPECT_THAT(text, HasSubstr("exposure    impossible")) << "ten colluders, eleven shares";
  EXPECT_THAT(text, HasSubstr("masked update"));
  EXPECT_THAT(text, Not(HasSubstr("agree")));
  EXPECT_THAT(text, HasSubstr("masking     23 masks"));
  EXPECT_THAT(text, HasSubstr("unmasking   290 masks"));
}

TEST_F(SecAggPlanCommand, TellsTheChancesOfBothFailures) {
  ASSERT_EQ(Run({"--clients", "1000"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("exposure    a chance below 2^-4"));
  EXPECT_THAT(out_.str(), HasSubstr("loss        a chance below 2^-4"));
}

TEST_F(SecAggPlanCommand, OfFewClientsEverybodyIsANeighbour) {
  ASSERT_EQ(Run({"--clients", "10", "--mode", "malicious"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("neighbours  9, everybody else\n"));
  EXPECT_THAT(out_.str(), HasSubstr("exposure    impossible"));
  EXPECT_THAT(out_.str(), HasSubstr("agree"));
}

TEST_F(SecAggPlanCommand, JsonHasTheNumbers) {
  ASSERT_EQ(Run({"--clients", "10", "--parameters", "1000", "--bits", "64", "--json"}), 0);
  const Json plan = Json::parse(out_.str());
  EXPECT_EQ(plan["neighbours"], 9);
  EXPECT_EQ(plan["threshold"], 7);
  EXPECT_EQ(plan["mode"], "semi_honest");
  EXPECT_TRUE(plan["log2_insecure"].is_null());
  EXPECT_EQ(plan["ring_bits"], 64);
  EXPECT_EQ(plan["phases"].size(), 4u);
  EXPECT_EQ(plan["phases"][2]["phase"], "masked update");
  EXPECT_EQ(plan["coordinator_bytes_in"], plan["client_bytes_up"].get<uint64_t>() * 10);
  EXPECT_GT(plan["client_seconds"], 0);
  ASSERT_EQ(Run({"--clients", "1000", "--drop", "0.3", "--corrupt", "0.05", "--json"}), 0);
  EXPECT_LT(Json::parse(out_.str())["log2_incorrect"], -40);
}

TEST_F(SecAggPlanCommand, WrongNumbersAreUsage) {
  const auto refusal = [this](std::vector<std::string> words) {
    EXPECT_EQ(Run(std::move(words)), 2);
    return err_.str();
  };
  EXPECT_THAT(refusal({}), HasSubstr("--clients N"));
  EXPECT_THAT(refusal({"--clients", "many"}), HasSubstr("--clients is 'many'"));
  EXPECT_THAT(refusal({"--clients", "100", "--drop", "0.5"}),
              HasSubstr("--drop is '0.5'; it must be a fraction of the clients, at least 0 and "
                        "below 0.5"));
  EXPECT_THAT(refusal({"--clients", "100", "--corrupt", "nan"}), HasSubstr("--corrupt is 'nan'"));
  EXPECT_THAT(refusal({"--clients", "100", "--mode", "malicous"}),
              HasSubstr("(did you mean 'malicious'?)"));
  EXPECT_THAT(refusal({"--clients", "100", "--bits", "24"}), HasSubstr("must be 16, 32 or 64"));
}

TEST_F(SecAggPlanCommand, WhatIsNotSafeSaysHowManyClientsWouldDo) {
  EXPECT_EQ(Run({"--clients", "3"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("4 clients would do"));
}

}  // namespace
}  // namespace muster::cli
