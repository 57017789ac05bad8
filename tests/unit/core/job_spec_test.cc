#include "proto/core/job_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "proto/core/limits.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

JobSpec GoodSpec() {
  JobSpec spec;
  spec.name = ModelName::Trusted("digits");
  spec.architecture.name = "logreg";
  spec.architecture.input_shape = {4};
  spec.architecture.outputs = 2;
  spec.architecture.layers = {
      LinearLayer{.in = 4, .out = 2, .weight = "0.weight", .bias = "0.bias"}};
  spec.layout = ParameterLayout::Create({{.name = "0.weight", .shape = {2, 4}, .offset = 0},
                                         {.name = "0.bias", .shape = {2}, .offset = 8}})
                    .value();
  spec.initial_weights = Sha256("weights");
  spec.round.quorum = 8;
  return spec;
}

struct Case {
  std::string name;
  std::function<void(JobSpec&)> spoil;
  std::string message;
};

TEST(JobSpec, TheDefaultsAreValidWithAQuorum) { EXPECT_TRUE(ValidateJobSpec(GoodSpec()).ok()); }

TEST(JobSpec, TheLimitsThemselvesAreValid) {
  JobSpec spec = GoodSpec();
  spec.rounds = limits::kMaxRounds;
  spec.round.clients = limits::kMaxCohort;
  spec.round.quorum = limits::kMaxCohort;
  spec.round.deadline = limits::kMaxRoundDeadline;
  spec.round.max_attempts = limits::kMaxRoundAttempts;
  spec.train.batch_size = limits::kMaxBatchSize;
  spec.train.epochs = limits::kMaxEpochs;
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
  spec.round.clients = spec.round.quorum = 10;
  spec.round.over_selection = limits::kMaxOverSelection;
  EXPECT_TRUE(ValidateJobSpec(spec).ok());
}

class BrokenJobSpec : public testing::TestWithParam<Case> {};

TEST_P(BrokenJobSpec, IsRefusedWithTheFieldAndTheRule) {
  JobSpec spec = GoodSpec();
  GetParam().spoil(spec);
  const absl::Status status = ValidateJobSpec(spec);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(StdView(status.message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Model, BrokenJobSpec,
    testing::Values(
        Case{"Name", [](JobSpec& s) { s.name = {}; }, "no name"},
        Case{"NoShape", [](JobSpec& s) { s.architecture.input_shape = {}; }, "input_shape"},
        Case{"ZeroShape",
             [](JobSpec& s) {
               s.architecture.input_shape = {1, 0};
             },
             "input_shape"},
        Case{"Outputs", [](JobSpec& s) { s.architecture.outputs = 0; }, "outputs is 0"},
        Case{"Layers", [](JobSpec& s) { s.architecture.layers = {}; }, "neither layers nor"},
        Case{"Layout", [](JobSpec& s) { s.layout = {}; }, "no parameters"},
        Case{"Weights", [](JobSpec& s) { s.initial_weights = {}; }, "initial weights"},
        Case{"UnknownWeight",
             [](JobSpec& s) { std::get<LinearLayer>(s.architecture.layers[0]).weight = "x"; },
             "parameter 'x'"},
        Case{"UnknownBias",
             [](JobSpec& s) { std::get<LinearLayer>(s.architecture.layers[0]).bias = "y"; },
             "layer 0 of the model uses parameter 'y'"},
        Case{"NothingShared",
             [](JobSpec& s) { s.layout = AssignGroups(s.layout, {.personal = {"*"}}).value(); },
             "no parameter is shared"},
        Case{"ModuleLoss", [](JobSpec& s) { s.train.loss = LossKind::kModule; },
             "train.loss is 'module'"},
        Case{"EvaluateModuleLoss", [](JobSpec& s) { s.evaluate.loss = LossKind::kModule; },
             "evaluate.loss is 'module'"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Rounds, BrokenJobSpec,
    testing::Values(
        Case{"NoRounds", [](JobSpec& s) { s.rounds = 0; }, "rounds is 0"},
        Case{"ManyRounds", [](JobSpec& s) { s.rounds = limits::kMaxRounds + 1; }, "1000000"},
        Case{"NoClients", [](JobSpec& s) { s.round.clients = 0; }, "round.clients is 0"},
        Case{"NoQuorum", [](JobSpec& s) { s.round.quorum = 0; }, "round.quorum is 0"},
        Case{"QuorumAboveClients", [](JobSpec& s) { s.round.quorum = 11; },
             "from 1 to round.clients, 10"},
        Case{"UnderSelection", [](JobSpec& s) { s.round.over_selection = 0.9; },
             "round.over_selection is 0.9"},
        Case{"OverSelection", [](JobSpec& s) { s.round.over_selection = 4.1; }, "from 1 to 4"},
        Case{"NanSelection", [](JobSpec& s) { s.round.over_selection = kNan; }, "over_selection"},
        Case{"CohortAndOverSelection",
             [](JobSpec& s) {
               s.round.clients = limits::kMaxCohort;
               s.round.over_selection = 1.1;
             },
             "invites more than"},
        Case{"NoDeadline", [](JobSpec& s) { s.round.deadline = 0s; }, "round.deadline is 0 s"},
        Case{"LongDeadline", [](JobSpec& s) { s.round.deadline = 24h * 365; }, "at most 168 h"},
        Case{"NoAttempts", [](JobSpec& s) { s.round.max_attempts = 0; }, "max_attempts"},
        Case{"EvaluationEvery",
             [](JobSpec& s) {
               s.evaluation.enabled = true;
               s.evaluation.every = 0;
             },
             "evaluation.every is 0"},
        Case{"EvaluationDeadline",
             [](JobSpec& s) {
               s.evaluation.enabled = true;
               s.evaluation.deadline = -1s;
             },
             "evaluation.deadline"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Training, BrokenJobSpec,
    testing::Values(
        Case{"ZeroRate", [](JobSpec& s) { s.train.learning_rate = 0; }, "train.learning_rate is 0"},
        Case{"NanRate", [](JobSpec& s) { s.train.learning_rate = kNan; }, "train.learning_rate"},
        Case{"InfRate", [](JobSpec& s) { s.train.learning_rate = kInf; }, "finite"},
        Case{"Momentum", [](JobSpec& s) { s.train.momentum = 1; }, "train.momentum is 1"},
        Case{"AdamBeta",
             [](JobSpec& s) {
               s.train.optimizer = LocalOptimizer::kAdam;
               s.train.beta2 = 1;
             },
             "train.beta2"},
        Case{"WeightDecay", [](JobSpec& s) { s.train.weight_decay = -1; }, "weight_decay is -1"},
        Case{"Clip", [](JobSpec& s) { s.train.clip_norm = -0.1; }, "train.clip_norm"},
        Case{"Mu", [](JobSpec& s) { s.train.proximal_mu = kInf; }, "train.proximal_mu"},
        Case{"Epochs", [](JobSpec& s) { s.train.epochs = 0; }, "train.epochs is 0"},
        Case{"Batch", [](JobSpec& s) { s.train.batch_size = 0; }, "train.batch_size is 0"},
        Case{"Examples",
             [](JobSpec& s) { s.train.max_examples = limits::kMaxExamplesPerUpdate + 1; },
             "train.max_examples"},
        Case{"Gamma",
             [](JobSpec& s) { s.train.schedule = {.kind = ScheduleKind::kStep, .gamma = 1.5}; },
             "train.schedule.gamma is 1.5"},
        Case{"Every",
             [](JobSpec& s) { s.train.schedule = {.kind = ScheduleKind::kStep, .every = 0}; },
             "train.schedule.every"},
        Case{"Floor",
             [](JobSpec& s) { s.train.schedule = {.kind = ScheduleKind::kCosine, .floor = -0.1}; },
             "train.schedule.floor"},
        Case{"PersonalizeRate", [](JobSpec& s) { s.personalize.train.learning_rate = -1; },
             "personalize.learning_rate is -1"},
        Case{"Calibration", [](JobSpec& s) { s.personalize.calibration_examples = 0; },
             "personalize.calibration_examples"},
        Case{"Percentile",
             [](JobSpec& s) {
               s.personalize.calibration = CalibrationMethod::kPercentile;
               s.personalize.calibration_percentile = 101;
             },
             "calibration_percentile is 101"},
        Case{"Margin", [](JobSpec& s) { s.personalize.gate_margin = kNan; }, "gate_margin"},
        Case{"EvaluateBatch", [](JobSpec& s) { s.evaluate.batch_size = 0; }, "evaluate.batch_size"},
        Case{"ServerRate", [](JobSpec& s) { s.server_optimizer.learning_rate = 0; },
             "server_optimizer.learning_rate is 0"},
        Case{"ServerMomentum",
             [](JobSpec& s) {
               s.server_optimizer.kind = ServerOptimizerKind::kFedAvgM;
               s.server_optimizer.momentum = 1;
             },
             "server_optimizer.momentum is 1"},
        Case{"ServerBeta",
             [](JobSpec& s) {
               s.server_optimizer.kind = ServerOptimizerKind::kFedYogi;
               s.server_optimizer.beta2 = -0.1;
             },
             "server_optimizer.beta2"},
        Case{"ServerTau",
             [](JobSpec& s) {
               s.server_optimizer.kind = ServerOptimizerKind::kFedAdam;
               s.server_optimizer.tau = 0;
             },
             "server_optimizer.tau is 0"}),
    [](const auto& info) { return info.param.name; });

JobSpec PrivateSpec(PrivacyKind kind) {
  JobSpec spec = GoodSpec();
  spec.privacy.kind = kind;
  return spec;
}

INSTANTIATE_TEST_SUITE_P(
    SecureAggregation, BrokenJobSpec,
    testing::Values(
        Case{"Drop", [](JobSpec& s) { s.aggregation.drop = 0.5; },
             "privacy.secure_aggregation.drop is 0.5; it is a fraction of the clients"},
        Case{"NanDrop", [](JobSpec& s) { s.aggregation.drop = kNan; }, "drop is nan"},
        Case{"Corrupt", [](JobSpec& s) { s.aggregation.corrupt = -0.1; },
             "privacy.secure_aggregation.corrupt is -0.1"},
        Case{"Clip", [](JobSpec& s) { s.aggregation.clip = 0; },
             "privacy.clip is 0; it must be above 0 and at most 1e+06"},
        Case{"InfiniteClip", [](JobSpec& s) { s.aggregation.clip = kInf; }, "privacy.clip is inf"},
        Case{"RingBits", [](JobSpec& s) { s.aggregation.ring_bits = 24; },
             "privacy.secure_aggregation.ring_bits is 24; it must be 16, 32 or 64"},
        Case{"ShortPhase", [](JobSpec& s) { s.aggregation.phase_deadline = 500ms; },
             "privacy.secure_aggregation.phase_deadline is 0.5 s; it must be from 1 s to 24 h"},
        Case{"LongPhase", [](JobSpec& s) { s.aggregation.phase_deadline = 25h; },
             "phase_deadline is 90000 s"},
        Case{"FewUpdates", [](JobSpec& s) { s.round.quorum = 3; },
             "round.quorum is 3; secure aggregation needs at least 4 updates in a sum"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Privacy, BrokenJobSpec,
    testing::Values(
        Case{"InTheClear",
             [](JobSpec& s) {
               s = PrivateSpec(PrivacyKind::kCentral);
               s.aggregation.mode = AggregationMode::kClear;
             },
             "privacy.differential_privacy.mode is central, which needs secure aggregation"},
        Case{"NoNoise",
             [](JobSpec& s) {
               s = PrivateSpec(PrivacyKind::kCentral);
               s.privacy.noise_multiplier = 0;
             },
             "privacy.differential_privacy.noise_multiplier is 0"},
        Case{"Delta",
             [](JobSpec& s) {
               s = PrivateSpec(PrivacyKind::kDistributed);
               s.privacy.delta = 1;
             },
             "privacy.differential_privacy.delta is 1; it must be above 0 and below 1"},
        Case{"Budget",
             [](JobSpec& s) {
               s = PrivateSpec(PrivacyKind::kDistributed);
               s.privacy.epsilon_budget = 0;
             },
             "privacy.differential_privacy.epsilon is 0"},
        Case{"SmallRing",
             [](JobSpec& s) {
               s = PrivateSpec(PrivacyKind::kDistributed);
               s.aggregation.ring_bits = 16;
             },
             "privacy.secure_aggregation.ring_bits is 16; distributed differential privacy needs"},
        Case{"AdaptiveClipInDistributedMode",
             [](JobSpec& s) {
               s = PrivateSpec(PrivacyKind::kDistributed);
               s.privacy.adaptive_clip = true;
             },
             "privacy.differential_privacy.adaptive_clip works in mode central only"},
        Case{"Quantile",
             [](JobSpec& s) {
               s = PrivateSpec(PrivacyKind::kCentral);
               s.privacy.adaptive_clip = true;
               s.privacy.clip_quantile = 1;
             },
             "privacy.differential_privacy.adaptive_clip.quantile is 1"},
        Case{"ClipRate",
             [](JobSpec& s) {
               s = PrivateSpec(PrivacyKind::kCentral);
               s.privacy.adaptive_clip = true;
               s.privacy.clip_rate = 0;
             },
             "privacy.differential_privacy.adaptive_clip.rate is 0"},
        Case{"ClipNoise",
             [](JobSpec& s) {
               s = PrivateSpec(PrivacyKind::kCentral);
               s.privacy.adaptive_clip = true;
               s.privacy.clip_noise = kNan;
             },
             "privacy.differential_privacy.adaptive_clip.noise is nan"}),
    [](const auto& info) { return info.param.name; });

TEST(JobSpec, EveryWayToAggregateAndToAddNoiseHasAValidForm) {
  for (PrivacyKind kind : {PrivacyKind::kNone, PrivacyKind::kCentral, PrivacyKind::kDistributed}) {
    for (AggregationMode mode : {AggregationMode::kSemiHonest, AggregationMode::kMalicious}) {
      JobSpec spec = PrivateSpec(kind);
      spec.aggregation.mode = mode;
      spec.privacy.adaptive_clip = kind == PrivacyKind::kCentral;
      spec.round.quorum = limits::kMinSecureClients;
      EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
    }
  }
  JobSpec clear = GoodSpec();
  clear.aggregation.mode = AggregationMode::kClear;
  clear.round.clients = clear.round.quorum = 1;
  EXPECT_TRUE(ValidateJobSpec(clear).ok()) << ValidateJobSpec(clear);
}

TEST(JobSpec, SaysWhatTheCoordinatorSees) {
  JobSpec spec = GoodSpec();
  EXPECT_EQ(DescribeAggregation(spec),
            "secure (semi-honest): the coordinator sees the sum of at least 8 updates, never one "
            "update, as long as it keeps to the protocol and no more than 10 % of the clients "
            "collude with it");
  spec.aggregation.mode = AggregationMode::kMalicious;
  spec.privacy.kind = PrivacyKind::kDistributed;
  spec.aggregation.corrupt = 0.333;
  EXPECT_EQ(DescribeAggregation(spec),
            "secure (malicious): designed so that even a coordinator that deviates from the "
            "protocol sees the noisy sum of at least 8 updates, never one update, as long as no "
            "more than 33.3 % of the clients collude with it");
  spec.aggregation.mode = AggregationMode::kClear;
  EXPECT_EQ(DescribeAggregation(spec), "off: the coordinator sees every update");
}

TEST(JobSpec, ModesHaveTheNamesOfTheJobFile) {
  EXPECT_EQ(AggregationModeName(AggregationMode::kClear), "off");
  EXPECT_EQ(AggregationModeName(AggregationMode::kSemiHonest), "semi-honest");
  EXPECT_EQ(AggregationModeName(AggregationMode::kMalicious), "malicious");
  EXPECT_EQ(PrivacyKindName(PrivacyKind::kNone), "none");
  EXPECT_EQ(PrivacyKindName(PrivacyKind::kCentral), "central");
  EXPECT_EQ(PrivacyKindName(PrivacyKind::kDistributed), "distributed");
}

TEST(JobSpec, WhatIsSwitchedOffIsNotJudged) {
  JobSpec spec = GoodSpec();
  spec.aggregation.mode = AggregationMode::kClear;
  spec.aggregation.clip = 0;
  spec.privacy.delta = 7;
  spec.personalize.enabled = false;
  spec.personalize.train.learning_rate = -1;
  spec.evaluation.enabled = false;
  spec.evaluation.every = 0;
  spec.train.steps = 5;
  spec.train.epochs = 0;
  spec.server_optimizer.tau = 0;  // fedavg has none
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
}

TEST(JobSpec, ATorchScriptModuleNeedsNoLayersAndMayBringItsLoss) {
  JobSpec spec = GoodSpec();
  spec.architecture.layers = {};
  spec.module = Sha256("module.pt");
  spec.train.loss = spec.evaluate.loss = LossKind::kModule;
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
}

TEST(ServerOptimizer, NamesRoundTripAndEveryDefaultIsValid) {
  for (const char* name : {"fedavg", "fedavgm", "fedadagrad", "fedadam", "fedyogi"}) {
    const ServerOptimizerKind kind = ParseServerOptimizer(name).value();
    EXPECT_EQ(ServerOptimizerName(kind), name);
    JobSpec spec = GoodSpec();
    spec.server_optimizer = DefaultServerOptimizer(kind);
    EXPECT_EQ(spec.server_optimizer.kind, kind);
    EXPECT_TRUE(ValidateJobSpec(spec).ok()) << name;
  }
  EXPECT_THAT(StdView(ParseServerOptimizer("fedadm").status().message()),
              HasSubstr("did you mean 'fedadam'?"));
}

}  // namespace
}  // namespace muster
