// The job file: what is accepted, and what is said about everything else.
#include "coordinator/cli/job_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "coordinator/cli/inspect.h"
#include "coordinator/cli/job_model.h"
#include "proto/core/strings.h"
#include "tests/support/temp_folder.h"

namespace muster::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kSmallest[] = "name: m\nmodel: {zoo: mlp}\n";

absl::StatusOr<JobFile> Parse(std::string_view yaml, std::vector<std::string> overrides = {}) {
  return ParseJobFile(yaml, "job.yaml", "/jobs", overrides);
}
std::string Refusal(std::string_view yaml, std::vector<std::string> overrides = {}) {
  auto job = Parse(yaml, std::move(overrides));
  EXPECT_FALSE(job.ok());
  EXPECT_EQ(job.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(job.status().message());
}
absl::StatusOr<Inspection> NoWorker(const std::filesystem::path&, const std::vector<uint32_t>&) {
  return absl::FailedPreconditionError("muster-worker is not there");
}

TEST(JobFile, TheSmallestOneGetsTheDocumentedDefaults) {
  auto job = Parse(kSmallest);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->spec.rounds, 10u);
  EXPECT_EQ(job->spec.round.clients, 10u);
  EXPECT_EQ(job->spec.round.quorum, 9u) << "all but the tenth that may drop out";
  EXPECT_EQ(job->spec.cohort.ToString(), "");
  EXPECT_FALSE(job->spec.evaluation.enabled);
  EXPECT_TRUE(job->spec.personalize.enabled);
  EXPECT_EQ(job->spec.aggregation, AggregationConfig()) << "secure, semi-honest";
  EXPECT_EQ(job->spec.privacy, PrivacyConfig()) << "no differential privacy";
}

TEST(JobFile, TheQuorumFollowsWhatMayDropOutAndHidesEveryUpdate) {
  const auto quorum = [](const std::string& round, const std::string& privacy) {
    const auto job = Parse(StrCat(kSmallest, "round: {", round, "}\nprivacy: {", privacy, "}\n"));
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? job->spec.round.quorum : 0;
  };
  EXPECT_EQ(quorum("clients: 100", ""), 90u);
  EXPECT_EQ(quorum("clients: 100", "secure_aggregation: {drop: 0.3}"), 70u);
  EXPECT_EQ(quorum("clients: 5", "secure_aggregation: {drop: 0.4}"), 4u) << "never fewer";
  EXPECT_EQ(quorum("clients: 4", ""), 4u);
  EXPECT_EQ(quorum("clients: 4", "secure_aggregation: {mode: off}"), 4u);
  EXPECT_EQ(quorum("clients: 1", "secure_aggregation: {mode: off}"), 1u);
  EXPECT_EQ(quorum("clients: 100, quorum: 50", ""), 50u) << "what the file says";
}

TEST(JobFile, ReadsEveryKey) {
  auto job = Parse(R"(
name: everything
model: {torchscript: nets/m.pt, input_shape: [1, 28, 28], outputs: 10}
rounds: 3
seed: 18446744073709551615
cohort: site=a,role!=evaluator
round: {clients: 7, over_selection: 1.5, quorum: 4, deadline: 1m30s, max_attempts: 2}
train:
  {optimizer: adam, learning_rate: 1e-3, momentum: 0.5, weight_decay: 0.01, beta1: 0.8, beta2: 0.9,
   epsilon: 1e-6, epochs: 2, steps: 5, batch_size: 16, clip_norm: 1.5, proximal_mu: 0.1, loss: module,
   max_examples: 100, schedule: {kind: step, gamma: 0.5, every: 4, floor: 0.1}}
evaluate: {batch_size: 64, loss: mse}
server: {optimizer: fedadam, learning_rate: 0.05, momentum: 0.1, beta1: 0.7, beta2: 0.8, tau: 0.01}
parameters: {personal: ["head.*"], frozen: ["conv.*"]}
personalize:
  {enabled: false, scope: head, train: {epochs: 3}, gate_margin: 0.02,
   calibration: {method: percentile, percentile: 99.9, examples: 32}}
evaluation: {evaluator: role=evaluator, every: 2, deadline: 10s}
privacy:
  clip: 2.5
  secure_aggregation:
    {mode: malicious, drop: 0.2, corrupt: 0.05, ring_bits: 64, cipher: chacha20,
     phase_deadline: 90s}
  differential_privacy:
    {mode: central, noise_multiplier: 0.7, delta: 1e-6, epsilon: 4,
     adaptive_clip: {quantile: 0.6, rate: 0.1, noise: 3}}
)");
  ASSERT_TRUE(job.ok()) << job.status();
  const JobSpec& spec = job->spec;
  EXPECT_EQ(job->model.torchscript, "/jobs/nets/m.pt");
  EXPECT_EQ(spec.seed, 18446744073709551615u);
  EXPECT_EQ(spec.round.deadline, std::chrono::seconds(90));
  EXPECT_EQ(spec.train.optimizer, LocalOptimizer::kAdam);
  EXPECT_EQ(spec.train.schedule.kind, ScheduleKind::kStep);
  EXPECT_EQ(spec.train.steps, 5u);
  EXPECT_EQ(spec.evaluate.loss, LossKind::kMse);
  EXPECT_EQ(spec.server_optimizer.kind, ServerOptimizerKind::kFedAdam);
  EXPECT_DOUBLE_EQ(spec.server_optimizer.tau, 0.01);
  EXPECT_FALSE(spec.personalize.enabled);
  EXPECT_EQ(spec.personalize.train.loss, LossKind::kModule) << "the job's, where nothing is said";
  EXPECT_EQ(spec.personalize.calibration, CalibrationMethod::kPercentile);
  EXPECT_EQ(spec.personalize.calibration_examples, 32u);
  EXPECT_EQ(spec.evaluation.evaluator.ToString(), "role=evaluator");
  EXPECT_EQ(job->groups.personal, std::vector<std::string>{"head.*"});
  EXPECT_EQ(spec.aggregation, (AggregationConfig{.mode = AggregationMode::kMalicious,
                                                 .drop = 0.2,
                                                 .corrupt = 0.05,
                                                 .clip = 2.5,
                                                 .ring_bits = 64,
                                                 .cipher = MaskCipher::kChaCha20,
                                                 .phase_deadline = std::chrono::seconds(90)}));
  EXPECT_EQ(spec.privacy, (PrivacyConfig{.kind = PrivacyKind::kCentral,
                                         .noise_multiplier = 0.7,
                                         .delta = 1e-6,
                                         .epsilon_budget = 4,
                                         .adaptive_clip = true,
                                         .clip_quantile = 0.6,
                                         .clip_rate = 0.1,
                                         .clip_noise = 3}));
}

TEST(JobFile, AnEmptyAdaptiveClipTurnsItOnWithItsDefaults) {
  const auto job = Parse(
      StrCat(kSmallest, "privacy: {differential_privacy: {mode: central, adaptive_clip: {}}}\n"));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_TRUE(job->spec.privacy.adaptive_clip);
  EXPECT_EQ(job->spec.privacy.clip_quantile, 0.5);
}

TEST(JobFile, IsJsonAsWell) {
  auto job = Parse(R"({"name": "m", "model": {"zoo": "lenet5"}, "train": {"momentum": 0.9},
                       "privacy": {"secure_aggregation": {"mode": "off"}}})");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_DOUBLE_EQ(job->spec.train.momentum, 0.9);
}

TEST(JobFile, TheServerOptimizerStartsFromThePapersDefaults) {
  auto job = Parse("name: m\nmodel: {zoo: mlp}\nserver: {optimizer: fedyogi}\n");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->spec.server_optimizer, DefaultServerOptimizer(ServerOptimizerKind::kFedYogi));
}

struct BadFile {
  const char* name;
  const char* yaml;  // after kSmallest
  const char* says;
};
class BadJobFile : public testing::TestWithParam<BadFile> {};

TEST_P(BadJobFile, IsRefusedWithItsPlace) {
  EXPECT_THAT(Refusal(std::string(kSmallest) + GetParam().yaml), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadJobFile,
    testing::Values(
        BadFile{"UnknownTopKey", "round_s: 3\n", "job.yaml:3:1: unknown key 'round_s'"},
        BadFile{"UnknownKeySuggestsTheNearest", "train:\n  lerning_rate: 0.1\n",
                "job.yaml:4:3: unknown key 'train.lerning_rate' (did you mean 'learning_rate'?)"},
        BadFile{"UnknownKeyFarFromAll", "evaluate: {zzzzzzzzz: 1}\n",
                "the keys here are batch_size, loss"},
        BadFile{"NotANumber", "rounds: ten\n",
                "job.yaml:3:9: rounds: expected a whole number from 1 to 1000000, got 'ten'"},
        BadFile{"NegativeCount", "rounds: -1\n", "job.yaml:3:9: rounds"},
        BadFile{"FractionalCount", "rounds: 1.5\n", "rounds: expected a whole number"},
        BadFile{"RateOfZero", "train: {learning_rate: 0}\n",
                "job.yaml:3:24: train.learning_rate: expected a number above 0"},
        BadFile{"NotFinite", "train: {learning_rate: nan}\n", "train.learning_rate"},
        BadFile{"MomentumOfOne", "train: {momentum: 1}\n", "below 1"},
        BadFile{"QuorumAboveClients", "round: {clients: 3, quorum: 4}\n",
                "job.yaml:3:29: round.quorum: is 4, more than round.clients, 3"},
        BadFile{"DurationWithoutUnit", "round: {deadline: 30}\n", "such as 30s or 5m"},
        BadFile{"DurationTooLong", "round: {deadline: 900d}\n", "it must be from"},
        BadFile{"WrongChoice", "train: {optimizer: sdg}\n",
                "expected one of sgd, adam, got 'sdg' (did you mean 'sgd'?)"},
        BadFile{"BadSelector", "cohort: site\n", "job.yaml:3:9: cohort: selector term 'site'"},
        BadFile{"SectionAsValue", "train: fast\n",
                "job.yaml:3:8: train: expected keys with values, got 'fast'"},
        BadFile{"EvaluationWithoutEvaluator", "evaluation: {every: 1}\n",
                "evaluation.evaluator: say which device evaluates"},
        BadFile{"SecureAggregationThatIsNotThere", "privacy: {secure_aggregation: {mode: on}}\n",
                "job.yaml:3:38: privacy.secure_aggregation.mode: expected one of semi-honest, "
                "malicious, off, got 'on'"},
        BadFile{"NoFraction", "privacy: {secure_aggregation: {drop: 0.5}}\n",
                "privacy.secure_aggregation.drop: expected a number"},
        BadFile{"RingBits", "privacy: {secure_aggregation: {ring_bits: 24}}\n",
                "privacy.secure_aggregation.ring_bits: expected one of 16, 32, 64, got '24'"},
        BadFile{
            "PhaseDeadline", "privacy: {secure_aggregation: {phase_deadline: 10ms}}\n",
            "privacy.secure_aggregation.phase_deadline: is 10ms; it must be from 1.0 s to 24 h"},
        BadFile{"ClipOfZero", "privacy: {clip: 0}\n", "privacy.clip: expected a number above 0"},
        BadFile{"UnknownPrivacyKey", "privacy: {secure_agregation: {}}\n",
                "unknown key 'privacy.secure_agregation' (did you mean 'secure_aggregation'?)"},
        BadFile{"NoiseOfNobody", "privacy: {differential_privacy: {epsilon: 3}}\n",
                "privacy.differential_privacy.mode: say who adds the noise"},
        BadFile{"NoSuchNoise", "privacy: {differential_privacy: {mode: centrl}}\n",
                "expected one of central, distributed, off, got 'centrl' (did you mean "
                "'central'?)"},
        BadFile{"QuorumThatHidesNobody", "round: {clients: 10, quorum: 3}\n",
                "job.yaml:3:30: round.quorum: is 3; secure aggregation needs at least 4 updates"},
        BadFile{"ClientsThatCannotHide", "round: {clients: 3}\n",
                "job.yaml:3:18: round.clients: is 3; secure aggregation needs at least 4 updates"},
        BadFile{"KeyTwice", "rounds: 1\nrounds: 2\n", "job.yaml:4:1: key 'rounds' is given twice"},
        BadFile{"NotYaml", "train: [1, 2\n", "is no YAML"},
        BadFile{"TwoDocuments", "---\nname: other\n", "more than one document"},
        BadFile{"SelfReference", "train: &t {schedule: *t}\n", "inside its own anchor"},
        BadFile{"Depth", "train: [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n", "nested too deeply"},
        BadFile{"TextAfterTheEnd", "train: {}\n...\nrounds: 1\n", "more than one document"},
        BadFile{"KeyThatIsNoName", "? [a]\n: 1\n", "a key must be a plain name"},
        BadFile{"PatternsNotAList", "parameters: {personal: head}\n",
                "parameters.personal: expected a list"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(JobFile, TellsEveryProblemAtOnce) {
  const std::string refusal = Refusal("model: {zoo: lenet6}\nrounds: 0\ntrain: {epochs: 0}\n");
  EXPECT_THAT(refusal, HasSubstr("name: is missing"));
  EXPECT_THAT(refusal, HasSubstr("did you mean 'lenet5'?"));
  EXPECT_THAT(refusal, HasSubstr("job.yaml:2:9: rounds"));
  EXPECT_THAT(refusal, HasSubstr("job.yaml:3:17: train.epochs"));
}

TEST(JobFile, NeedsExactlyOneKindOfModel) {
  EXPECT_THAT(Refusal("name: m\n"), HasSubstr("name a zoo model"));
  EXPECT_THAT(Refusal("name: m\nmodel: {zoo: mlp, torchscript: m.pt}\n"), HasSubstr("keep one"));
  EXPECT_THAT(Refusal("name: m\nmodel: {torchscript: m.pt}\n"),
              HasSubstr("a TorchScript file needs it"));
}

TEST(JobFile, AliasesCannotBlowItUp) {
  std::string yaml = "name: m\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 8; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    yaml += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 9; ++j) yaml += "," + before;
    yaml += "]\n";
  }
  EXPECT_THAT(Refusal(yaml), HasSubstr("holds more than"));
}

TEST(JobFile, AnAliasStandsForItsAnchor) {
  auto job =
      Parse("name: m\nmodel: {zoo: mlp}\ntrain: &t {momentum: 0.5}\npersonalize: {train: *t}\n");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_DOUBLE_EQ(job->spec.personalize.train.momentum, 0.5);
}

TEST(JobFile, TooLargeIsRefused) {
  EXPECT_THAT(Refusal(std::string(300'000, '#')), HasSubstr("is larger than"));
}

TEST(JobFileOverride, ReplacesAndAdds) {
  auto job = Parse("name: m\nmodel: {zoo: mlp}\ntrain: {momentum: 0.5}\n",
                   {"train.momentum=0.9", "round.clients=5", "model.hidden=[8, 8]", "rounds=2"});
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_DOUBLE_EQ(job->spec.train.momentum, 0.9);
  EXPECT_EQ(job->spec.round.clients, 5u);
  EXPECT_EQ(job->spec.round.quorum, 5u) << "the default follows";
  EXPECT_EQ(job->model.options.hidden, (std::vector<uint32_t>{8, 8}));
  EXPECT_EQ(job->spec.rounds, 2u);
}

TEST(JobFileOverride, IsCheckedLikeTheFileAndNamedInTheMessage) {
  EXPECT_THAT(Refusal(kSmallest, {"train.momentom=1"}),
              HasSubstr("-c train.momentom=1: unknown key 'train.momentom' (did you mean "
                        "'momentum'?)"));
  EXPECT_THAT(Refusal(kSmallest, {"rounds=none"}), HasSubstr("-c rounds=none: rounds: expected"));
  EXPECT_THAT(Refusal(kSmallest, {"rounds"}), HasSubstr("write KEY=VALUE"));
  EXPECT_THAT(Refusal(kSmallest, {"name.x=1"}), HasSubstr("no keys below a plain value"));
}

TEST(JobFile, ThatIsMissingSaysSo) {
  auto job = ReadJobFile("/nonexistent/job.yaml", {});
  EXPECT_TRUE(absl::IsNotFound(job.status()));
  EXPECT_THAT(std::string(job.status().message()),
              HasSubstr("/nonexistent/job.yaml: no such file"));
}

TEST(PrepareJob, MakesAZooModelFromTheSeed) {
  auto file = Parse("name: m\nmodel: {zoo: mlp, input_shape: [4], outputs: 2, hidden: [3]}\n");
  ASSERT_TRUE(file.ok()) << file.status();
  auto job = PrepareJob(*file, NoWorker);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->weights.size(), (4 * 3 + 3 + 3 * 2 + 2) * sizeof(float));
  EXPECT_EQ(job->spec.initial_weights, Sha256(job->weights));
  auto again = PrepareJob(*file, NoWorker);
  EXPECT_EQ(again->weights, job->weights);
  file->spec.seed = 2;
  EXPECT_NE(PrepareJob(*file, NoWorker)->weights, job->weights);
}

TEST(PrepareJob, APatternThatMatchesNothingIsRefusedWithItsPlaceAndTheNamesThereAre) {
  auto file = Parse("name: m\nmodel: {zoo: logreg}\nparameters:\n  personal: [\"heat.*\"]\n");
  ASSERT_TRUE(file.ok()) << file.status();
  auto job = PrepareJob(*file, NoWorker);
  ASSERT_FALSE(job.ok());
  const std::string refusal(job.status().message());
  EXPECT_THAT(refusal, HasSubstr("job.yaml:4:14: parameters.personal[0]"));
  EXPECT_THAT(refusal, HasSubstr("heat.*"));
  EXPECT_THAT(refusal, HasSubstr(".weight"));
}

TEST(PrepareJob, RulesBetweenFieldsAreToldWithTheLineToo) {
  auto file = Parse("name: m\nmodel: {zoo: mlp}\ntrain: {loss: module}\n");
  ASSERT_TRUE(file.ok()) << file.status();
  auto job = PrepareJob(*file, NoWorker);
  ASSERT_FALSE(job.ok());
  EXPECT_THAT(std::string(job.status().message()), HasSubstr("job.yaml:3:15: train.loss"));
}

TEST(PrepareJob, RulesOfPrivacyAreToldWithTheLineToo) {
  const auto refusal = [](const std::string& privacy) {
    const auto file = Parse(StrCat(kSmallest, "privacy: {", privacy, "}\n"));
    EXPECT_TRUE(file.ok()) << file.status();
    const auto job = PrepareJob(*file, NoWorker);
    EXPECT_EQ(job.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(job.status().message());
  };
  EXPECT_THAT(
      refusal("secure_aggregation: {mode: off}, differential_privacy: {mode: central}"),
      HasSubstr("job.yaml:3:73: privacy.differential_privacy.mode is central, which needs secure"));
  EXPECT_THAT(
      refusal("secure_aggregation: {ring_bits: 16}, differential_privacy: {mode: distributed}"),
      HasSubstr("job.yaml:3:43: privacy.secure_aggregation.ring_bits is 16; distributed"));
  EXPECT_THAT(refusal("differential_privacy: {mode: distributed, adaptive_clip: {}}"),
              HasSubstr("privacy.differential_privacy.adaptive_clip works in mode central only"));
}

class TorchScriptJob : public testing::Test {
 protected:
  TorchScriptJob() {
    std::ofstream(folder_.path() / "m.pt") << "a module";
    auto file = ParseJobFile(
        "name: m\nmodel: {torchscript: m.pt, input_shape: [2], outputs: 3}\n"
        "train: {loss: module}\n",
        "job.yaml", folder_.path(), {});
    EXPECT_TRUE(file.ok()) << file.status();
    file_ = *file;
    module_.layout = *ParameterLayout::Create({{.name = "w", .shape = {2}}});
    module_.outputs = 3;
    module_.has_loss = true;
    module_.weights = std::string(8, '\0');
  }
  absl::StatusOr<PreparedJob> Prepare() {
    return PrepareJob(file_, [this](const auto&, const auto&) { return module_; });
  }

  TempFolder folder_;
  JobFile file_;
  Inspection module_;
};

TEST_F(TorchScriptJob, TakesWhatTheWorkerFound) {
  auto job = Prepare();
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->module, "a module");
  EXPECT_EQ(job->spec.module, Sha256("a module"));
  EXPECT_EQ(job->spec.architecture.outputs, 3u);
}

TEST_F(TorchScriptJob, WithoutAWorkerIsRefusedWithWhatToDo) {
  auto job = PrepareJob(file_, NoWorker);
  EXPECT_EQ(job.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(job.status().message()), HasSubstr("muster-worker"));
  auto worker = FindWorker("/nonexistent/muster-worker", "", "");
  EXPECT_THAT(std::string(worker.status().message()), HasSubstr("--worker names"));
}

TEST_F(TorchScriptJob, RefusesALossMethodThatIsNotThere) {
  module_.has_loss = false;
  EXPECT_THAT(std::string(Prepare().status().message()), HasSubstr("job.yaml:3:15: train.loss"));
}

TEST_F(TorchScriptJob, RefusesOutputsThatDisagree) {
  module_.outputs = 4;
  EXPECT_THAT(std::string(Prepare().status().message()), HasSubstr("model.outputs: is 3"));
}

TEST_F(TorchScriptJob, RefusesAMissingFileWithItsPath) {
  std::filesystem::remove(folder_.path() / "m.pt");
  auto job = Prepare();
  EXPECT_TRUE(absl::IsNotFound(job.status()));
  EXPECT_THAT(std::string(job.status().message()),
              HasSubstr(folder_.path().filename().string() + "/m.pt does not exist"));
}

TEST(Inspection, ReadsWhatTheWorkerPrints) {
  auto inspection = ParseInspection(
      R"({"architecture":null,"layout":{"entries":[{"name":"w","shape":[2],)"
      R"("group":"PARAMETER_GROUP_SHARED","trainable":true}]},"outputs":3,"has_loss":true})");
  ASSERT_TRUE(inspection.ok()) << inspection.status();
  EXPECT_FALSE(inspection->architecture);
  EXPECT_EQ(inspection->layout.total_size(), 2u);
  EXPECT_TRUE(inspection->has_loss);
  EXPECT_FALSE(ParseInspection("{}").ok());
  EXPECT_FALSE(ParseInspection("not json").ok());
}

}  // namespace
}  // namespace muster::cli
