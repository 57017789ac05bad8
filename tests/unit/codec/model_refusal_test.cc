// Bad fields in models and jobs, and the message that each one gets.
#include <cmath>
#include <limits>

#include "proto/codec/job_codec.h"
#include "proto/codec/model_codec.h"
#include "proto/core/limits.h"
#include "tests/unit/codec/random_values.h"
#include "tests/unit/codec/refusals.h"

namespace muster {
namespace {

using testing::HasSubstr;
using testing_codec::BadField;
using testing_codec::ExpectRefusals;
using testing_codec::RandomValues;

// One linear layer [3, 4] with a bias.
Manifest SmallManifest() {
  Manifest manifest = RandomValues(1).AnyManifest();
  manifest.architecture = {.name = "small",
                           .input_shape = {4},
                           .outputs = 3,
                           .layers = {LinearLayer{4, 3, "0.weight", "0.bias"}}};
  manifest.layout = ParameterLayout::Create({{.name = "0.weight", .shape = {3, 4}, .offset = 0},
                                             {.name = "0.bias", .shape = {3}, .offset = 12}})
                        .value();
  manifest.total_rounds = 10;
  manifest.lineage.round = 3;
  return manifest;
}

JobSpec SmallJob() {
  JobSpec spec;
  const Manifest manifest = SmallManifest();
  spec.name = ModelName::Trusted("small");
  spec.architecture = manifest.architecture;
  spec.layout = manifest.layout;
  spec.initial_weights = Sha256("weights");
  spec.round.quorum = 8;
  return spec;
}

TEST(DecodeManifest, RefusesBadHeads) {
  using M = v1::Manifest;
  ExpectRefusals<M>(
      EncodeManifest(SmallManifest()), DecodeManifest,
      {
          {[](M& m) { m.set_schema("muster.manifest/v2"); },
           "model.Manifest.schema: is not 'muster.manifest/v1'; this program knows no other"},
          {[](M& m) { m.set_security_version(0); },
           "model.Manifest.security_version: 0 is below the minimum of 1"},
          {[](M& m) { m.clear_architecture(); }, "model.Manifest.architecture: is missing"},
          {[](M& m) { m.clear_layout(); }, "model.Manifest.layout: is missing"},
          {[](M& m) { m.clear_train(); }, "model.Manifest.train: is missing"},
          {[](M& m) { m.clear_evaluate(); }, "model.Manifest.evaluate: is missing"},
          {[](M& m) { m.clear_personalize(); }, "model.Manifest.personalize: is missing"},
          {[](M& m) { m.clear_lineage(); }, "model.Manifest.lineage: is missing"},
          {[](M& m) { m.set_total_rounds(1'000'001); },
           "model.Manifest.total_rounds: 1000001 is above the limit of 1000000"},
          {[](M& m) { m.mutable_lineage()->set_round(11); },
           "model.Manifest.lineage.round: 11 is above the manifest's total_rounds, 10"},
          {[](M& m) { m.mutable_lineage()->set_parent_weights("short"); },
           "model.Manifest.lineage.parent_weights: a SHA-256 digest has 32 bytes, not 5"},
          {[](M& m) { m.mutable_lineage()->set_clients(100'001); },
           "model.Manifest.lineage.clients: 100001 is above the limit of 100000"},
          {[](M& m) { m.mutable_lineage()->set_created_unix_us(-1); },
           "model.Manifest.lineage.created_unix_us: -1 us lies outside the years 1970 to 9999"},
          {[](M& m) { m.mutable_lineage()->set_aggregation("in the clear"); },
           "model.Manifest.lineage.aggregation: holds a character that is not printable ASCII"},
          {[](M& m) { (*m.mutable_lineage()->mutable_metrics())["loss"] = NAN; },
           "model.Manifest.lineage.metrics: loss is nan; metrics are finite"},
      });
}

TEST(DecodeManifest, RefusesBadNetworks) {
  using M = v1::Manifest;
  const auto linear = [](M& m) {
    return m.mutable_architecture()->mutable_layers(0)->mutable_linear();
  };
  ExpectRefusals<M>(
      EncodeManifest(SmallManifest()), DecodeManifest,
      {
          {[](M& m) { m.mutable_architecture()->clear_name(); },
           "model.Manifest.architecture.name: is not set"},
          {[](M& m) { m.mutable_architecture()->clear_input_shape(); },
           "model.Manifest.architecture.input_shape: is not set"},
          {[](M& m) { m.mutable_architecture()->set_input_shape(0, 0); },
           "model.Manifest.architecture.input_shape[0]: 0 is below the minimum of 1"},
          {[](M& m) {
             m.mutable_architecture()->set_input_shape(0, 1 << 20);
             m.mutable_architecture()->add_input_shape(1 << 20);
           },
           "model.Manifest.architecture.input_shape: 1099511627776 is above the limit of "
           "67108864 elements"},
          {[](M& m) {
             for (int i = 0; i < 8; ++i) m.mutable_architecture()->add_input_shape(1);
           },
           "model.Manifest.architecture.input_shape: 9 entries are above the limit of 8"},
          {[](M& m) { m.mutable_architecture()->set_outputs(0); },
           "model.Manifest.architecture.outputs: 0 is below the minimum of 1"},
          {[](M& m) { m.mutable_architecture()->add_layers(); },
           "model.Manifest.architecture.layers[1]: is of no known kind"},
          {[linear](M& m) { linear(m)->set_in(0); },
           "model.Manifest.architecture.layers[0].linear.in: 0 is below the minimum of 1"},
          {[linear](M& m) { linear(m)->set_out(1u << 25); },
           "model.Manifest.architecture.layers[0].linear.out: 33554432 is above the limit of "
           "16777216"},
          {[linear](M& m) { linear(m)->clear_weight(); },
           "model.Manifest.architecture.layers[0].linear.weight: is not set"},
          {[linear](M& m) { linear(m)->set_weight("1.weight"); },
           "model.Manifest.architecture.layers[0].weight: '1.weight' is no entry of the layout"},
          {[linear](M& m) { linear(m)->set_in(5); },
           "model.Manifest.architecture.layers[0].weight: '0.weight' has 12 elements in the "
           "layout, which is not what the layer's sizes give"},
          {[](M& m) {
             auto* conv = m.mutable_architecture()->add_layers()->mutable_conv2d();
             *conv = EncodeArchitecture({.layers = {Conv2dLayer{.in = 4,
                                                                .out = 6,
                                                                .kernel_h = 3,
                                                                .kernel_w = 3,
                                                                .groups = 4,
                                                                .weight = "w"}}})
                         .layers(0)
                         .conv2d();
           },
           "model.Manifest.architecture.layers[1].conv2d.groups: 4 does not divide 4 inputs and 6 "
           "outputs"},
          {[](M& m) {
             auto* pool = m.mutable_architecture()->add_layers()->mutable_pool1d();
             pool->set_kernel(2);
             pool->set_stride(2);
           },
           "model.Manifest.architecture.layers[1].pool1d.kind: is not set"},
      });
}

TEST(DecodeManifest, RefusesBadLayouts) {
  using M = v1::Manifest;
  const auto entry = [](M& m) { return m.mutable_layout()->mutable_entries(1); };
  ExpectRefusals<M>(
      EncodeManifest(SmallManifest()), DecodeManifest,
      {
          {[entry](M& m) { entry(m)->clear_name(); },
           "model.Manifest.layout.entries[1].name: is not set"},
          {[entry](M& m) { entry(m)->set_name("0 bias"); },
           "model.Manifest.layout.entries[1].name: holds a character that is not printable ASCII"},
          {[entry](M& m) { entry(m)->set_shape(0, 0); },
           "model.Manifest.layout.entries[1].shape[0]: 0 is below the minimum of 1"},
          {[entry](M& m) {
             entry(m)->set_shape(0, 1u << 30);
             entry(m)->add_shape(2);
           },
           "model.Manifest.layout.entries[1].shape: 2147483648 is above the limit of 1073741824 "
           "elements"},
          {[entry](M& m) { entry(m)->clear_group(); },
           "model.Manifest.layout.entries[1].group: is not set"},
          {[entry](M& m) { entry(m)->set_group(static_cast<v1::ParameterGroup>(9)); },
           "model.Manifest.layout.entries[1].group: 9 is not a known value"},
      });
  v1::Manifest overlapping = EncodeManifest(SmallManifest());
  overlapping.mutable_layout()->mutable_entries(1)->set_offset(11);
  const absl::Status status = DecodeManifest(overlapping).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("model.Manifest.layout: "));
}

TEST(DecodeTrainPlan, RefusesImpossibleNumbers) {
  using P = v1::TrainPlan;
  ExpectRefusals<P>(
      EncodeTrainPlan(TrainPlan()), DecodeTrainPlan,
      {
          {[](P& p) { p.clear_optimizer(); }, "model.TrainPlan.optimizer: is not set"},
          {[](P& p) { p.set_learning_rate(0); },
           "model.TrainPlan.learning_rate: 0 is outside (0, 1000]"},
          {[](P& p) { p.set_learning_rate(NAN); },
           "model.TrainPlan.learning_rate: nan is outside (0, 1000]"},
          {[](P& p) { p.set_learning_rate(std::numeric_limits<double>::infinity()); },
           "model.TrainPlan.learning_rate: inf is outside (0, 1000]"},
          {[](P& p) { p.set_momentum(1); }, "model.TrainPlan.momentum: 1 is outside [0, 1)"},
          {[](P& p) { p.set_beta1(-0.5); }, "model.TrainPlan.beta1: -0.5 is outside [0, 1)"},
          {[](P& p) { p.set_beta2(1); }, "model.TrainPlan.beta2: 1 is outside [0, 1)"},
          {[](P& p) { p.set_epsilon(0); }, "model.TrainPlan.epsilon: 0 is outside (0, 1]"},
          {[](P& p) { p.set_weight_decay(-1); },
           "model.TrainPlan.weight_decay: -1 is outside [0, 1e+06]"},
          {[](P& p) { p.set_clip_norm(-1); },
           "model.TrainPlan.clip_norm: -1 is outside [0, 1e+06]"},
          {[](P& p) { p.set_proximal_mu(-1); },
           "model.TrainPlan.proximal_mu: -1 is outside [0, 1e+06]"},
          {[](P& p) { p.clear_schedule(); }, "model.TrainPlan.schedule: is missing"},
          {[](P& p) { p.mutable_schedule()->set_gamma(2); },
           "model.TrainPlan.schedule.gamma: 2 is outside (0, 1]"},
          {[](P& p) { p.mutable_schedule()->set_every(0); },
           "model.TrainPlan.schedule.every: 0 is below the minimum of 1 rounds"},
          {[](P& p) { p.mutable_schedule()->set_floor(1.5); },
           "model.TrainPlan.schedule.floor: 1.5 is outside [0, 1]"},
          {[](P& p) { p.set_epochs(10'001); },
           "model.TrainPlan.epochs: 10001 is above the limit of 10000"},
          {[](P& p) { p.set_epochs(0); },
           "model.TrainPlan.epochs: is 0, and so is steps; one of them must say how much to "
           "train"},
          {[](P& p) { p.set_batch_size(0); },
           "model.TrainPlan.batch_size: 0 is below the minimum of 1 examples"},
          {[](P& p) { p.set_loss(static_cast<v1::Loss>(77)); },
           "model.TrainPlan.loss: 77 is not a known value"},
          {[](P& p) { p.set_max_examples(1u << 25); },
           "model.TrainPlan.max_examples: 33554432 is above the limit of 16777216 examples"},
      });
}

TEST(DecodePersonalizePlan, RefusesImpossibleNumbers) {
  using P = v1::PersonalizePlan;
  ExpectRefusals<P>(
      EncodePersonalizePlan(PersonalizePlan()), DecodePersonalizePlan,
      {
          {[](P& p) { p.clear_scope(); }, "model.PersonalizePlan.scope: is not set"},
          {[](P& p) { p.clear_train(); }, "model.PersonalizePlan.train: is missing"},
          {[](P& p) { p.mutable_train()->set_batch_size(0); },
           "model.PersonalizePlan.train.batch_size: 0 is below the minimum of 1 examples"},
          {[](P& p) { p.set_calibration_examples(0); },
           "model.PersonalizePlan.calibration_examples: 0 is below the minimum of 1 examples"},
          {[](P& p) { p.clear_calibration(); }, "model.PersonalizePlan.calibration: is not set"},
          {[](P& p) { p.set_calibration_percentile(100.5); },
           "model.PersonalizePlan.calibration_percentile: 100.5 is outside (0, 100]"},
          {[](P& p) { p.set_gate_margin(-0.1); },
           "model.PersonalizePlan.gate_margin: -0.1 is outside [0, 1]"},
      });
}

TEST(DecodeJobSpec, RefusesBadFields) {
  using J = v1::JobSpec;
  ExpectRefusals<J>(
      EncodeJobSpec(SmallJob()), DecodeJobSpec,
      {
          {[](J& j) { j.clear_initial_weights(); },
           "job.JobSpec.initial_weights: a SHA-256 digest has 32 bytes, not 0"},
          {[](J& j) { j.set_initial_weights(std::string(32, '\0')); },
           "job.JobSpec.initial_weights: the all-zero digest names nothing"},
          {[](J& j) { j.set_module("x"); },
           "job.JobSpec.module: a SHA-256 digest has 32 bytes, not 1"},
          {[](J& j) { j.set_rounds(0); }, "job.JobSpec.rounds: 0 is below the minimum of 1"},
          {[](J& j) { j.set_rounds(2'000'000); },
           "job.JobSpec.rounds: 2000000 is above the limit of 1000000"},
          {[](J& j) { j.clear_round(); }, "job.JobSpec.round: is missing"},
          {[](J& j) { j.mutable_round()->set_clients(0); },
           "job.JobSpec.round.clients: 0 is below the minimum of 1"},
          {[](J& j) { j.mutable_round()->set_over_selection(5); },
           "job.JobSpec.round.over_selection: 5 is outside [1, 4]"},
          {[](J& j) { j.mutable_round()->set_deadline_us(0); },
           "job.JobSpec.round.deadline_us: 0 is below the minimum of 1 us"},
          {[](J& j) { j.mutable_round()->set_deadline_us(INT64_MAX); },
           "job.JobSpec.round.deadline_us: 9223372036854775807 is above the limit of "
           "604800000000 us"},
          {[](J& j) { j.mutable_round()->set_max_attempts(11); },
           "job.JobSpec.round.max_attempts: 11 is above the limit of 10"},
          {[](J& j) { j.mutable_server_optimizer()->clear_kind(); },
           "job.JobSpec.server_optimizer.kind: is not set"},
          {[](J& j) { j.mutable_server_optimizer()->set_tau(0); },
           "job.JobSpec.server_optimizer.tau: 0 is outside (0, 1e+06]"},
          {[](J& j) { j.mutable_evaluation()->set_every(0); },
           "job.JobSpec.evaluation.every: 0 is below the minimum of 1 rounds"},
          {[](J& j) { j.clear_aggregation(); }, "job.JobSpec.aggregation: is missing"},
          {[](J& j) { j.clear_privacy(); }, "job.JobSpec.privacy: is missing"},
          {[](J& j) { j.mutable_train()->set_epochs(20'000); },
           "job.JobSpec.train.epochs: 20000 is above the limit of 10000"},
      });
}

TEST(DecodeJobSpec, RefusesBadAggregation) {
  using J = v1::JobSpec;
  const auto a = [](J& j) { return j.mutable_aggregation(); };
  ExpectRefusals<J>(
      EncodeJobSpec(SmallJob()), DecodeJobSpec,
      {
          {[a](J& j) { a(j)->clear_mode(); }, "job.JobSpec.aggregation.mode: is not set"},
          {[a](J& j) { a(j)->set_mode(static_cast<v1::AggregationMode>(9)); },
           "job.JobSpec.aggregation.mode: 9 is not a known value"},
          {[a](J& j) { a(j)->set_drop(0.5); },
           "job.JobSpec.aggregation.drop: 0.5 is outside [0, 0.5)"},
          {[a](J& j) { a(j)->set_corrupt(-0.1); },
           "job.JobSpec.aggregation.corrupt: -0.1 is outside [0, 0.5)"},
          {[a](J& j) { a(j)->set_corrupt(std::nan("")); },
           "job.JobSpec.aggregation.corrupt: nan is outside [0, 0.5)"},
          {[a](J& j) { a(j)->set_clip(0); },
           "job.JobSpec.aggregation.clip: 0 is outside (0, 1e+06]"},
          {[a](J& j) { a(j)->set_ring_bits(24); },
           "job.JobSpec.aggregation.ring_bits: 24 is none of 16, 32 and 64"},
          {[a](J& j) { a(j)->set_phase_deadline_us(999'999); },
           "job.JobSpec.aggregation.phase_deadline_us: 999999 is below the minimum of 1000000 us"},
          {[a](J& j) { a(j)->set_phase_deadline_us(INT64_MAX); },
           "job.JobSpec.aggregation.phase_deadline_us: 9223372036854775807 is above the limit of "
           "86400000000 us"},
      });
}

TEST(DecodeJobSpec, RefusesBadPrivacy) {
  using J = v1::JobSpec;
  const auto p = [](J& j) { return j.mutable_privacy(); };
  ExpectRefusals<J>(
      EncodeJobSpec(SmallJob()), DecodeJobSpec,
      {
          {[p](J& j) { p(j)->clear_kind(); }, "job.JobSpec.privacy.kind: is not set"},
          {[p](J& j) { p(j)->set_noise_multiplier(0); },
           "job.JobSpec.privacy.noise_multiplier: 0 is outside (0, 1e+06]"},
          {[p](J& j) { p(j)->set_delta(1); }, "job.JobSpec.privacy.delta: 1 is outside (0, 1)"},
          {[p](J& j) { p(j)->set_epsilon_budget(0); },
           "job.JobSpec.privacy.epsilon_budget: 0 is outside (0, 1e+06]"},
          {[p](J& j) { p(j)->set_clip_quantile(0); },
           "job.JobSpec.privacy.clip_quantile: 0 is outside (0, 1)"},
          {[p](J& j) { p(j)->set_clip_rate(11); },
           "job.JobSpec.privacy.clip_rate: 11 is outside (0, 10]"},
          {[p](J& j) { p(j)->set_clip_noise(-1); },
           "job.JobSpec.privacy.clip_noise: -1 is outside [0, 1e+06]"},
      });
}

TEST(DecodeJobSpec, AppliesTheRulesOfSecureAggregation) {
  v1::JobSpec wire = EncodeJobSpec(SmallJob());
  wire.mutable_round()->set_quorum(3);
  EXPECT_THAT(std::string(DecodeJobSpec(wire).status().message()),
              HasSubstr("job.JobSpec: round.quorum is 3; secure aggregation needs at least 4"));
  wire.mutable_aggregation()->set_mode(v1::AGGREGATION_MODE_CLEAR);
  EXPECT_TRUE(DecodeJobSpec(wire).ok()) << DecodeJobSpec(wire).status();
  wire.mutable_privacy()->set_kind(v1::PRIVACY_KIND_CENTRAL);
  EXPECT_THAT(std::string(DecodeJobSpec(wire).status().message()),
              HasSubstr("needs secure aggregation"));
}

TEST(DecodeJobSpec, AppliesTheRulesAcrossFields) {
  v1::JobSpec wire = EncodeJobSpec(SmallJob());
  wire.mutable_round()->set_quorum(wire.round().clients() + 1);
  const absl::Status status = DecodeJobSpec(wire).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("job.JobSpec: round.quorum"));
}

TEST(DecodeJobSpec, NamesTheBadSelectorsField) {
  v1::JobSpec wire = EncodeJobSpec(SmallJob());
  wire.set_cohort("site");
  EXPECT_THAT(std::string(DecodeJobSpec(wire).status().message()), HasSubstr("job.JobSpec.cohort"));
  wire.set_cohort(std::string(1 << 20, 'a'));
  EXPECT_THAT(std::string(DecodeJobSpec(wire).status().message()),
              HasSubstr("job.JobSpec.cohort: 1048576 bytes are above the limit"));
}

TEST(ParseJobSpec, RefusesBytesThatAreNoMessageAndBytesThatAreTooMany) {
  EXPECT_EQ(ParseJobSpec("\xff\xff\xff").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseJobSpec(std::string(limits::kMaxMessageBytes + 1, 'a')).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(ParseJobSpec("").ok());
}

TEST(ManifestFromJson, RefusesUnknownFieldsWrongTypesAndWhatIsNoJson) {
  const std::string json = ManifestToJson(SmallManifest()).value();
  ASSERT_TRUE(ManifestFromJson(json).ok());

  const std::string unknown = "{\"surprise\":1," + json.substr(1);
  EXPECT_THAT(std::string(ManifestFromJson(unknown).status().message()), HasSubstr("surprise"));
  EXPECT_EQ(ManifestFromJson(unknown).status().code(), absl::StatusCode::kInvalidArgument);

  std::string wrong_type = json;
  wrong_type.replace(wrong_type.find("\"total_rounds\":10"), 17, "\"total_rounds\":-1");
  EXPECT_EQ(ManifestFromJson(wrong_type).status().code(), absl::StatusCode::kInvalidArgument);

  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        json.substr(0, json.size() / 2), json + json}) {
    EXPECT_EQ(ManifestFromJson(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(ManifestFromJson, RefusesMoreThanTheLimitBeforeItParses) {
  const std::string big(limits::kMaxManifestBytes + 1, ' ');
  EXPECT_THAT(std::string(ManifestFromJson(big).status().message()),
              HasSubstr("above the limit of 4194304"));
}

TEST(ManifestFromJson, SurvivesDeepNesting) {
  const std::string deep = "{\"lineage\":" + std::string(100'000, '[');
  EXPECT_EQ(ManifestFromJson(deep).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ManifestToJson, RefusesAManifestThatCouldNotBeReadBack) {
  Manifest manifest = SmallManifest();
  manifest.lineage.metrics["loss"] = NAN;
  EXPECT_EQ(ManifestToJson(manifest).status().code(), absl::StatusCode::kInvalidArgument);
  manifest = SmallManifest();
  manifest.security_version = 0;
  EXPECT_FALSE(ManifestToJson(manifest).ok());
}

}  // namespace
}  // namespace muster
