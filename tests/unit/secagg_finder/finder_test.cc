#include "aggregation/secagg/finder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "proto/core/limits.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Pair {
  uint32_t neighbours, threshold;
};

Assumptions Of(uint32_t clients, double drop, double corrupt, Mode mode = Mode::kSemiHonest) {
  return {.clients = clients, .drop = drop, .corrupt = corrupt, .mode = mode};
}
void ExpectPlan(const Assumptions& assumptions, Pair want) {
  const auto plan = FindGraph(assumptions);
  const std::string what = StrCat("n=", assumptions.clients, " drop=", assumptions.drop,
                                  " corrupt=", assumptions.corrupt);
  ASSERT_TRUE(plan.ok()) << what << ": " << plan.status();
  EXPECT_EQ(plan->neighbours, want.neighbours) << what;
  EXPECT_EQ(plan->threshold, want.threshold) << what;
  EXPECT_LT(plan->log2_insecure, -assumptions.sigma) << what;
  EXPECT_LT(plan->log2_incorrect, -assumptions.eta) << what;
}

struct Row {
  Mode mode;
  double drop, corrupt;
  std::array<Pair, 6> plans;  // for the clients below
};
constexpr std::array<uint32_t, 6> kClients = {30, 100, 300, 1000, 3000, 10000};
constexpr Mode kHonest = Mode::kSemiHonest;
constexpr Mode kMalicious = Mode::kMalicious;
// sigma = eta = 40.
constexpr Row kTable[] = {
    {kHonest, .1, .05, {{{6, 2}, {16, 6}, {36, 15}, {46, 20}, {50, 22}, {54, 24}}}},
    {kHonest, .1, .1, {{{8, 4}, {22, 11}, {46, 23}, {58, 30}, {64, 33}, {68, 35}}}},
    {kHonest, .1, .33, {{{14, 10}, {42, 32}, {88, 60}, {126, 84}, {142, 94}, {156, 103}}}},
    {kHonest, .2, .2, {{{14, 7}, {42, 21}, {88, 44}, {124, 63}, {142, 72}, {152, 77}}}},
    {kHonest, .3, .1, {{{14, 4}, {40, 11}, {80, 28}, {114, 41}, {130, 47}, {140, 51}}}},
    {kHonest, .3, .33, {{{20, 10}, {64, 34}, {166, 86}, {296, 154}, {390, 202}, {446, 231}}}},
    {kMalicious, .1, .05, {{{8, 5}, {26, 16}, {66, 41}, {104, 66}, {122, 78}, {132, 84}}}},
    {kMalicious, .1, .1, {{{10, 7}, {32, 22}, {82, 55}, {128, 86}, {152, 102}, {166, 111}}}},
    {kMalicious, .1, .33, {{{16, 13}, {54, 44}, {138, 108}, {268, 206}, {358, 274}, {410, 313}}}},
    {kMalicious, .3, .1, {{{22, 13}, {72, 42}, {206, 119}, {504, 296}, {824, 485}, {1078, 635}}}},
};

TEST(FindGraph, GivesTheTableForFortyBits) {
  for (const Row& row : kTable) {
    for (size_t i = 0; i < kClients.size(); ++i) {
      ExpectPlan(Of(kClients[i], row.drop, row.corrupt, row.mode), row.plans[i]);
    }
  }
}

struct Published {
  uint32_t clients;
  double corrupt, drop;
  Mode mode;
  Pair plan;
};
// Of Google's federated-compute: sigma = 40, eta = 20; "semi-malicious" is kMalicious here.
constexpr Published kPublished[] = {
    {1000, .05, .05, kHonest, {30, 17}},         {100, .45, .45, kHonest, {92, 46}},
    {1000, .45, .45, kHonest, {822, 417}},       {10000, .45, .45, kHonest, {3494, 1771}},
    {100000, .45, .45, kHonest, {5508, 2788}},   {10, .33, .33, kHonest, {8, 4}},
    {100, .33, .33, kHonest, {68, 34}},          {1000, .33, .33, kHonest, {286, 150}},
    {10000, .33, .33, kHonest, {422, 221}},      {1000000, .33, .33, kHonest, {518, 270}},
    {100, .05, .33, kHonest, {28, 6}},           {10000, .05, .33, kHonest, {86, 29}},
    {1000000, .33, .05, kHonest, {110, 83}},     {100, .3, .3, kMalicious, {92, 62}},
    {1000, .3, .3, kMalicious, {872, 584}},      {10000, .3, .3, kMalicious, {4822, 3230}},
    {10, .05, .33, kMalicious, {8, 5}},          {100, .05, .33, kMalicious, {72, 39}},
    {1000, .05, .33, kMalicious, {398, 223}},    {10000, .05, .33, kMalicious, {746, 420}},
    {1000000, .05, .33, kMalicious, {970, 545}}, {100, .33, .05, kMalicious, {42, 37}},
    {10000, .33, .05, kMalicious, {178, 146}},
};

TEST(FindGraph, GivesTheTuplesThatArePublishedForTwentyBitsOfCorrectness) {
  for (const Published& row : kPublished) {
    Assumptions assumptions = Of(row.clients, row.drop, row.corrupt, row.mode);
    assumptions.eta = 20;
    ExpectPlan(assumptions, row.plan);
  }
}

double Choose(int n, int k) {
  double value = 1;
  for (int i = 1; i <= k; ++i) value = value * (n - k + i) / i;
  return value;
}
// P[X >= least] for X marked among `drawn` of n, term by term.
double Tail(int n, int marked, int drawn, int least) {
  double sum = 0;
  for (int x = least; x <= std::min(marked, drawn); ++x) {
    sum += Choose(marked, x) * Choose(n - marked, drawn - x) / Choose(n, drawn);
  }
  return sum;
}

TEST(FindGraph, ItsBoundsAreTheExactTailsTimesTheClients) {
  // 46 neighbours of 300, threshold 23; 30 corrupted, 30 drop out, 60 missing.
  const GraphPlan plan = FindGraph(Of(300, .1, .1)).value();
  const double exposed = 300 * Tail(300, 30, 46, 23);
  const double pairs = 300.0 * (300 - 46 - 1) / 2;
  const double disconnected = pairs * Choose(300 - 46, 60 - 46) / Choose(300, 60);
  EXPECT_NEAR(plan.log2_insecure, std::log2(exposed + disconnected), 1e-6);
  EXPECT_NEAR(plan.log2_incorrect, std::log2(300 * Tail(300, 30, 46, 46 - 23 + 1)), 1e-6);
}

TEST(FindGraph, NoCorruptedClientsLeaveOnlyConnectivityAndTheLeastThreshold) {
  const GraphPlan plan = FindGraph(Of(1000, .1, 0)).value();
  EXPECT_EQ(plan.threshold, 2u);
  EXPECT_LT(plan.log2_insecure, -41);
  EXPECT_EQ(FindGraph(Of(1000, 0, 0)).value().neighbours, 2u);
  EXPECT_EQ(FindGraph(Of(1000, 0, 0)).value().log2_insecure, -kInf);
}

TEST(FindGraph, WorseAssumptionsNeverNeedFewerNeighbours) {
  for (Mode mode : {kHonest, kMalicious}) {
    for (uint32_t clients : {100u, 1000u, 5000u}) {
      uint32_t by_drop = 0, by_corrupt = 0, by_sigma = 0;
      for (int step = 0; step <= 6; ++step) {
        const auto drop = FindGraph(Of(clients, .05 * step, .1, mode));
        const auto corrupt = FindGraph(Of(clients, .1, .05 * step, mode));
        Assumptions careful = Of(clients, .1, .1, mode);
        careful.sigma += 10 * step;
        const auto sigma = FindGraph(careful);
        ASSERT_TRUE(drop.ok() && corrupt.ok() && sigma.ok());
        EXPECT_GE(drop->neighbours, by_drop);
        EXPECT_GE(corrupt->neighbours, by_corrupt);
        EXPECT_GE(sigma->neighbours, by_sigma);
        by_drop = drop->neighbours;
        by_corrupt = corrupt->neighbours;
        by_sigma = sigma->neighbours;
      }
    }
  }
}

TEST(FindGraph, RefusesWhatIsNoFractionAndWhereNobodyIsLeft) {
  EXPECT_EQ(FindGraph(Of(100, 1, .1)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FindGraph(Of(100, std::nan(""), .1)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FindGraph(Of(100, .1, -.1)).status().code(), absl::StatusCode::kInvalidArgument);
  Assumptions no_bits = Of(100, .1, .1);
  no_bits.sigma = kInf;
  EXPECT_EQ(FindGraph(no_bits).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FindGraph(Of(100, .5, .5)).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FindGraph(Of(0, .1, .1)).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FindGraph(Of(UINT32_MAX, .1, .1)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PlanGraph, BelowThirtyClientsEverybodyIsANeighbour) {
  for (uint32_t n = kMinClients; n < kCompleteGraphBelow; ++n) {
    const auto plan = PlanGraph(Of(n, .1, .1));
    ASSERT_TRUE(plan.ok()) << n << ": " << plan.status();
    EXPECT_EQ(plan->neighbours, n - 1);
    EXPECT_EQ(plan->threshold, 2 * (n - 1) / 3 + 1);
    EXPECT_EQ(plan->log2_insecure, -kInf);
    EXPECT_EQ(plan->log2_incorrect, -kInf);
  }
  EXPECT_LT(PlanGraph(Of(kCompleteGraphBelow, .1, .1))->neighbours, kCompleteGraphBelow - 1);
}

TEST(PlanGraph, FourClientsAreTheFewest) {
  EXPECT_TRUE(PlanGraph(Of(4, .1, .1)).ok());
  EXPECT_TRUE(PlanGraph(Of(4, .1, .1, kMalicious)).ok());
  for (uint32_t n : {0u, 1u, 2u, 3u}) {
    const absl::Status status = PlanGraph(Of(n, .1, .1)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(StdView(status.message()), HasSubstr("at least 4 clients are needed"));
    EXPECT_THAT(StdView(status.message()), HasSubstr("4 clients would do"));
  }
}

TEST(PlanGraph, AtLeastTwoClientsAreAssumedToCollude) {
  const GraphPlan careful = PlanGraph(Of(100, .1, 0)).value();
  const GraphPlan two_percent = FindGraph(Of(100, .1, .02)).value();
  EXPECT_EQ(careful.neighbours, two_percent.neighbours);
  EXPECT_EQ(careful.threshold, two_percent.threshold);
}

TEST(PlanGraph, RoundsTheColludersUp) {
  const GraphPlan plan = PlanGraph(Of(101, .1, .1)).value();  // 11 of them
  Assumptions exact = Of(101, .1, 11.0 / 101);
  EXPECT_EQ(plan.threshold, FindGraph(exact)->threshold);
  EXPECT_EQ(plan.neighbours, FindGraph(exact)->neighbours);
}

TEST(PlanGraph, RaisesTheThresholdOverAllColludersWhereTwoThirdsAreTooFew) {
  // 19 neighbours, 8 colluders: 2 t > 27.
  EXPECT_EQ(PlanGraph(Of(20, .1, .4, kMalicious))->threshold, 14u);
  EXPECT_EQ(PlanGraph(Of(20, .1, .4))->threshold, 13u);
  EXPECT_EQ(PlanGraph(Of(5, .1, .1, kMalicious))->threshold, 4u);
}

TEST(PlanGraph, TakesTheCompleteGraphWhereNoSparseOneIsSafe) {
  Assumptions assumptions = Of(31, .3, .33, kMalicious);
  assumptions.sigma = 80;
  ASSERT_FALSE(FindGraph(assumptions).ok());
  const auto plan = PlanGraph(assumptions);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->neighbours, 30u);
  EXPECT_EQ(plan->threshold, 21u);
  EXPECT_TRUE(CheckGraphPlan(assumptions, 30, 21).ok());
}

TEST(PlanGraph, RefusalsGiveTheNumbersAndHowManyClientsWouldDo) {
  const absl::Status status = PlanGraph(Of(10, .4, .1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(StdView(status.message()),
            "secure aggregation is not safe with 10 clients, of which 2 may collude with the "
            "coordinator and 4 may drop out, in semi-honest mode: a threshold of 7 is needed "
            "against those who collude, and 5 holders of each secret may be left; 30 clients would "
            "do");
  EXPECT_TRUE(PlanGraph(Of(30, .4, .1)).ok());
  EXPECT_THAT(StdView(PlanGraph(Of(50, .45, .45, kMalicious)).status().message()),
              HasSubstr("no number of clients up to 1000 would do: lower drop or corrupt"));
}

TEST(PlanGraph, StaysWithinTheNeighboursThatAMessageHolds) {
  const Assumptions assumptions = Of(10'000, .45, .45);
  EXPECT_GT(FindGraph(assumptions)->neighbours, limits::kMaxSecAggNeighbours);
  EXPECT_THAT(StdView(PlanGraph(assumptions).status().message()),
              HasSubstr("neither a sparse graph nor a complete one is, with up to 2048 neighbours; "
                        "lower drop or corrupt"));
}

std::vector<Assumptions> ManyAssumptions() {
  std::vector<Assumptions> all;
  for (Mode mode : {kHonest, kMalicious}) {
    for (double drop : {0.0, .1, .25}) {
      for (double corrupt : {0.0, .05, .1, .3}) {
        for (uint32_t n : {4u, 5u, 6u, 7u, 12u, 29u, 30u, 31u, 64u, 99u, 500u, 3001u, 20000u}) {
          all.push_back(Of(n, drop, corrupt, mode));
          if (mode == kMalicious) all.back().sigma = 80;
        }
      }
    }
  }
  return all;
}

TEST(CheckGraphPlan, AcceptsWhateverPlanGraphGives) {
  int planned = 0;
  for (const Assumptions& assumptions : ManyAssumptions()) {
    const auto plan = PlanGraph(assumptions);
    if (!plan.ok()) continue;
    ++planned;
    const absl::Status checked = CheckGraphPlan(assumptions, plan->neighbours, plan->threshold);
    EXPECT_TRUE(checked.ok()) << checked;
  }
  EXPECT_GT(planned, 250);
}

TEST(CheckGraphPlan, RefusesFewerNeighboursAndLowerThresholds) {
  for (const Assumptions& assumptions : ManyAssumptions()) {
    const auto plan = PlanGraph(assumptions);
    if (!plan.ok()) continue;
    const uint32_t k = plan->neighbours, t = plan->threshold;
    const std::string what = StrCat("n=", assumptions.clients, " k=", k, " t=", t);
    if (t > 2) {
      EXPECT_FALSE(CheckGraphPlan(assumptions, k, t - 1).ok()) << what;
    }
    const uint32_t fewer = k + 1 == assumptions.clients ? (k - 1) / 2 * 2 : k - 2;
    for (uint32_t threshold = 0; threshold <= fewer; ++threshold) {
      EXPECT_FALSE(CheckGraphPlan(assumptions, fewer, threshold).ok()) << what;
    }
  }
}

TEST(CheckGraphPlan, AcceptsMoreNeighboursWithAThresholdToMatch) {
  const Assumptions assumptions = Of(100, .1, .1);  // 22 / 11
  EXPECT_TRUE(CheckGraphPlan(assumptions, 30, 14).ok());
  EXPECT_FALSE(CheckGraphPlan(assumptions, 30, 9).ok());
  EXPECT_TRUE(CheckGraphPlan(assumptions, 99, 67).ok()) << "the complete graph is always as safe";
  EXPECT_FALSE(CheckGraphPlan(assumptions, 99, 66).ok());
}

TEST(CheckGraphPlan, TellsWhichPromiseIsBroken) {
  const auto message = [](const Assumptions& assumptions, Pair pair) {
    const absl::Status status = CheckGraphPlan(assumptions, pair.neighbours, pair.threshold);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(message(Of(100, .1, .1), {22, 8}),
              HasSubstr("colluding neighbours open a client's secrets"));
  EXPECT_THAT(message(Of(100, .1, .1), {22, 8}), HasSubstr("it must be below 2^-41"));
  EXPECT_THAT(message(Of(100, .3, .02), {10, 3}),
              HasSubstr("the honest clients fall apart into groups"));
  EXPECT_THAT(message(Of(100, .1, .1), {22, 21}), HasSubstr("a secret has too few holders left"));
}

TEST(CheckGraphPlan, RefusesWhatIsNoGraph) {
  for (const auto& [k, t] : std::vector<std::pair<uint32_t, uint32_t>>{
           {0, 0}, {1, 1}, {100, 50}, {UINT32_MAX, 2}, {21, 11}, {22, 0}, {22, 1}, {22, 23}}) {
    EXPECT_EQ(CheckGraphPlan(Of(100, .1, .1), k, t).code(), absl::StatusCode::kInvalidArgument)
        << k << "/" << t;
  }
  EXPECT_EQ(CheckGraphPlan(Of(3, .1, .1), 2, 2).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(StdView(CheckGraphPlan(Of(20, .1, .1), 10, 8).message()),
              HasSubstr("below 30 clients everyone must be a neighbour"));
}

TEST(AssumptionsOf, MaliciousModeDoublesTheBitsBecauseRostersCanBeGround) {
  Params params{.drop = .2, .corrupt = .05, .mode = kHonest};
  const Assumptions honest = AssumptionsOf(params, 50);
  EXPECT_EQ(honest.clients, 50u);
  EXPECT_EQ(honest.drop, .2);
  EXPECT_EQ(honest.corrupt, .05);
  EXPECT_EQ(honest.sigma, 40);
  EXPECT_EQ(honest.eta, 40);
  params.mode = kMalicious;
  EXPECT_EQ(AssumptionsOf(params, 50).sigma, 80);
  EXPECT_EQ(AssumptionsOf(params, 50).mode, kMalicious);
}

}  // namespace
}  // namespace muster::secagg
