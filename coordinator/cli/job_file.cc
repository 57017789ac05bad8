#include "coordinator/cli/job_file.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "proto/codec/model_codec.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/core/suggest.h"

namespace muster::cli {
namespace {

template <typename Enum, size_t N>
using Choices = std::array<std::pair<std::string_view, Enum>, N>;

constexpr Choices<LocalOptimizer, 2> kLocalOptimizers = {
    {{"sgd", LocalOptimizer::kSgd}, {"adam", LocalOptimizer::kAdam}}};
constexpr Choices<ScheduleKind, 3> kSchedules = {{{"constant", ScheduleKind::kConstant},
                                                  {"step", ScheduleKind::kStep},
                                                  {"cosine", ScheduleKind::kCosine}}};
constexpr Choices<LossKind, 5> kLosses = {{{"cross_entropy", LossKind::kCrossEntropy},
                                           {"nll", LossKind::kNll},
                                           {"mse", LossKind::kMse},
                                           {"bce_with_logits", LossKind::kBceWithLogits},
                                           {"module", LossKind::kModule}}};
constexpr Choices<ServerOptimizerKind, 5> kServerOptimizers = {
    {{"fedavg", ServerOptimizerKind::kFedAvg},
     {"fedavgm", ServerOptimizerKind::kFedAvgM},
     {"fedadagrad", ServerOptimizerKind::kFedAdagrad},
     {"fedadam", ServerOptimizerKind::kFedAdam},
     {"fedyogi", ServerOptimizerKind::kFedYogi}}};
constexpr Choices<PersonalizeScope, 2> kScopes = {
    {{"all", PersonalizeScope::kAll}, {"head", PersonalizeScope::kHead}}};
constexpr Choices<CalibrationMethod, 2> kCalibrations = {
    {{"min_max", CalibrationMethod::kMinMax}, {"percentile", CalibrationMethod::kPercentile}}};
constexpr Choices<AggregationMode, 3> kAggregationModes = {
    {{"semi-honest", AggregationMode::kSemiHonest},
     {"malicious", AggregationMode::kMalicious},
     {"off", AggregationMode::kClear}}};
constexpr Choices<MaskCipher, 3> kMaskCiphers = {{{"aes-128", MaskCipher::kAes128Ctr},
                                                  {"aes-256", MaskCipher::kAes256Ctr},
                                                  {"chacha20", MaskCipher::kChaCha20}}};
constexpr Choices<uint32_t, 3> kRingBits = {{{"16", 16}, {"32", 32}, {"64", 64}}};
constexpr Choices<PrivacyKind, 3> kPrivacyKinds = {{{"central", PrivacyKind::kCentral},
                                                    {"distributed", PrivacyKind::kDistributed},
                                                    {"off", PrivacyKind::kNone}}};

constexpr RealRange kRate = {.low = 0, .high = limits::kMaxLearningRate, .low_open = true};
constexpr RealRange kDecay = {.low = 0, .high = 1, .high_open = true};  // a share of the past
constexpr RealRange kPenalty = {.low = 0, .high = limits::kMaxPenalty};
constexpr RealRange kPositiveShare = {.low = 0, .high = 1, .low_open = true};
constexpr RealRange kShare = {.low = 0, .high = 1};
constexpr RealRange kPercentile = {.low = 50, .high = 100, .low_open = true};
constexpr RealRange kBetweenZeroAndOne = {.low = 0, .high = 1, .low_open = true, .high_open = true};
constexpr RealRange kClients = {.low = 0, .high = limits::kMaxClientFraction, .high_open = true};
constexpr Duration kMinDeadline = std::chrono::milliseconds(1);

void ReadSchedule(Section section, LearningRateSchedule& schedule) {
  section.Choice("kind", kSchedules, schedule.kind);
  section.Real("gamma", kPositiveShare, schedule.gamma);
  section.Count("every", 1, limits::kMaxRounds, schedule.every);
  section.Real("floor", kShare, schedule.floor);
  section.Finish();
}

void ReadTrain(Section section, TrainPlan& plan) {
  section.Choice("optimizer", kLocalOptimizers, plan.optimizer);
  section.Real("learning_rate", kRate, plan.learning_rate);
  section.Real("momentum", kDecay, plan.momentum);
  section.Real("weight_decay", kPenalty, plan.weight_decay);
  section.Real("beta1", kDecay, plan.beta1);
  section.Real("beta2", kDecay, plan.beta2);
  section.Real("epsilon", kPositiveShare, plan.epsilon);
  section.Count("steps", 0, limits::kMaxLocalSteps, plan.steps);
  section.Count("epochs", plan.steps > 0 ? 0 : 1, limits::kMaxEpochs, plan.epochs);
  section.Count("batch_size", 1, limits::kMaxBatchSize, plan.batch_size);
  section.Real("clip_norm", kPenalty, plan.clip_norm);
  section.Real("proximal_mu", kPenalty, plan.proximal_mu);
  section.Choice("loss", kLosses, plan.loss);
  section.Count("max_examples", 0, limits::kMaxExamplesPerUpdate, plan.max_examples);
  ReadSchedule(section.Child("schedule"), plan.schedule);
  section.Finish();
}

void ReadModel(Section section, const std::filesystem::path& folder, Section& root,
               ModelChoice& model) {
  std::string file;
  section.Text("zoo", model.zoo);
  section.Text("torchscript", file);
  const bool shaped =
      section.Counts("input_shape", limits::kMaxDimension, model.options.input_shape);
  section.Count("outputs", 1, limits::kMaxDimension, model.options.outputs);
  section.Counts("hidden", kMaxLayerWidth, model.options.hidden);
  section.Finish();
  if (model.zoo.empty() == file.empty()) {
    root.Refuse("model", file.empty()
                             ? StrCat("name a zoo model (zoo: ", StrJoin(ZooModelNames(), ", "),
                                      ") or a file (torchscript: model.pt)")
                             : "has both zoo and torchscript; keep one of them");
    return;
  }
  if (!file.empty()) {
    model.torchscript = (folder / file).lexically_normal();
    if (!shaped) section.Refuse("input_shape", "a TorchScript file needs it, such as [1, 28, 28]");
    if (!model.options.hidden.empty()) section.Refuse("hidden", "is for zoo models only");
    return;
  }
  if (std::string_view zoo = model.zoo;
      std::find(ZooModelNames().begin(), ZooModelNames().end(), zoo) == ZooModelNames().end()) {
    section.Refuse("zoo",
                   StrCat("there is no zoo model '", zoo, "'", DidYouMean(zoo, ZooModelNames()),
                          "; there are ", StrJoin(ZooModelNames(), ", ")));
  }
}

// What secure aggregation asks of a round's numbers; a sum of few updates hides none.
void CheckSecureRound(Section& section, const RoundConfig& round, bool quorum_given) {
  const bool few_clients = round.clients < limits::kMinSecureClients;
  if (!few_clients && round.quorum >= limits::kMinSecureClients) return;
  if (!few_clients && !quorum_given) return;
  section.Refuse(few_clients ? "clients" : "quorum",
                 StrCat("is ", few_clients ? round.clients : round.quorum,
                        "; secure aggregation needs at least ", limits::kMinSecureClients,
                        " updates in a sum, so that it hides each one (or set "
                        "privacy.secure_aggregation.mode to off, and the coordinator sees every "
                        "update)"));
}

void ReadRound(Section section, const AggregationConfig& aggregation, RoundConfig& round) {
  section.Count("clients", 1, limits::kMaxCohort, round.clients);
  section.Real("over_selection", {.low = 1, .high = limits::kMaxOverSelection},
               round.over_selection);
  round.quorum = DefaultQuorum(round.clients, aggregation);
  const bool quorum_given = section.Count("quorum", 1, limits::kMaxCohort, round.quorum);
  if (quorum_given && round.quorum > round.clients) {
    section.Refuse("quorum", StrCat("is ", round.quorum, ", more than round.clients, ",
                                    round.clients, ": no round could close"));
  } else if (aggregation.secure()) {
    CheckSecureRound(section, round, quorum_given);
  }
  section.Time("deadline", kMinDeadline, limits::kMaxRoundDeadline, round.deadline);
  section.Count("max_attempts", 1, limits::kMaxRoundAttempts, round.max_attempts);
  section.Finish();
}

void ReadServer(Section section, ServerOptimizerConfig& server) {
  ServerOptimizerKind kind = server.kind;
  section.Choice("optimizer", kServerOptimizers, kind);
  server = DefaultServerOptimizer(kind);
  section.Real("learning_rate", kRate, server.learning_rate);
  section.Real("momentum", kDecay, server.momentum);
  section.Real("beta1", kDecay, server.beta1);
  section.Real("beta2", kDecay, server.beta2);
  section.Real("tau", {.low = 0, .high = limits::kMaxPenalty, .low_open = true}, server.tau);
  section.Finish();
}

void ReadPersonalize(Section section, LossKind loss, PersonalizePlan& plan) {
  section.Flag("enabled", plan.enabled);
  section.Choice("scope", kScopes, plan.scope);
  plan.train.loss = loss;
  ReadTrain(section.Child("train"), plan.train);
  Section calibration = section.Child("calibration");
  calibration.Choice("method", kCalibrations, plan.calibration);
  calibration.Real("percentile", kPercentile, plan.calibration_percentile);
  calibration.Count("examples", 1, limits::kMaxCalibrationExamples, plan.calibration_examples);
  calibration.Finish();
  section.Real("gate_margin", kShare, plan.gate_margin);
  section.Finish();
}

void ReadEvaluation(Section section, EvaluationConfig& evaluation) {
  evaluation.enabled = section.present();
  const bool named = section.Match("evaluator", evaluation.evaluator);
  if (section.present() && !named) {
    section.Refuse("evaluator",
                   "say which device evaluates, such as role=evaluator; leave the whole section "
                   "out for no evaluation");
  }
  section.Count("every", 1, limits::kMaxRounds, evaluation.every);
  section.Time("deadline", kMinDeadline, limits::kMaxRoundDeadline, evaluation.deadline);
  section.Finish();
}

void ReadSecureAggregation(Section section, AggregationConfig& config) {
  section.Choice("mode", kAggregationModes, config.mode);
  section.Real("drop", kClients, config.drop);
  section.Real("corrupt", kClients, config.corrupt);
  section.Choice("ring_bits", kRingBits, config.ring_bits);
  section.Choice("cipher", kMaskCiphers, config.cipher);
  section.Time("phase_deadline", limits::kMinPhaseDeadline, limits::kMaxPhaseDeadline,
               config.phase_deadline);
  section.Finish();
}

void ReadDifferentialPrivacy(Section section, PrivacyConfig& config) {
  const bool chosen = section.Choice("mode", kPrivacyKinds, config.kind);
  section.Real("noise_multiplier",
               {.low = 0, .high = limits::kMaxNoiseMultiplier, .low_open = true},
               config.noise_multiplier);
  section.Real("delta", kBetweenZeroAndOne, config.delta);
  section.Real("epsilon", {.low = 0, .high = limits::kMaxEpsilonBudget, .low_open = true},
               config.epsilon_budget);
  Section adaptive = section.Child("adaptive_clip");
  config.adaptive_clip = adaptive.present();
  adaptive.Real("quantile", kBetweenZeroAndOne, config.clip_quantile);
  adaptive.Real("rate", {.low = 0, .high = limits::kMaxClipRate, .low_open = true},
                config.clip_rate);
  adaptive.Real("noise", {.low = 0, .high = limits::kMaxClipNoise}, config.clip_noise);
  adaptive.Finish();
  section.Finish();
  if (section.present() && !chosen && section.Take("mode") == nullptr) {
    section.Refuse("mode",
                   "say who adds the noise: central (the coordinator, to the sum), distributed "
                   "(every device, before it is masked) or off");
  }
}

void ReadPrivacy(Section section, AggregationConfig& aggregation, PrivacyConfig& privacy) {
  section.Real("clip", {.low = 0, .high = limits::kMaxClip, .low_open = true}, aggregation.clip);
  ReadSecureAggregation(section.Child("secure_aggregation"), aggregation);
  ReadDifferentialPrivacy(section.Child("differential_privacy"), privacy);
  section.Finish();
}

void ReadName(Section& root, ModelName& name) {
  std::string text;
  if (!root.Text("name", text)) {
    return root.Refuse("name", "is missing; the model's versions will be called NAME@1, NAME@2");
  }
  auto parsed = ModelName::Parse(text);
  if (!parsed.ok()) return root.Refuse("name", StdView(parsed.status().message()));
  name = *std::move(parsed);
}

}  // namespace

uint32_t DefaultQuorum(uint32_t clients, const AggregationConfig& aggregation) {
  constexpr double kRounding = 1e-9;  // 0.9 of 10 is 9, whatever its binary form says
  const double share = aggregation.secure() ? 1 - aggregation.drop : kDefaultQuorumShare;
  const auto quorum = static_cast<uint32_t>(std::ceil(clients * share - kRounding));
  return aggregation.secure() ? std::max(quorum, limits::kMinSecureClients) : quorum;
}

std::string JobFile::Locate(std::string_view path) const {
  const auto found = places.find(std::string(path));
  if (found != places.end()) return StrCat(found->second.ToString(), ": ", path);
  const auto root = places.find("");
  return StrCat(root == places.end() ? "the job file" : root->second.source, ": ", path);
}

absl::StatusOr<JobFile> ParseJobFile(std::string_view yaml, std::string_view source,
                                     const std::filesystem::path& folder,
                                     std::span<const std::string> overrides) {
  MUSTER_ASSIGN_OR_RETURN(Tree tree, ParseTree(yaml, source));
  if (tree.kind == Tree::Kind::kNull) tree.kind = Tree::Kind::kMap;
  if (tree.kind == Tree::Kind::kMap) {
    for (const std::string& text : overrides) MUSTER_RETURN_IF_ERROR(ApplyOverride(text, tree));
  }
  JobFile job;
  Problems problems;
  if (tree.place.line == 0) tree.place.source = source;
  job.places[""] = tree.place;
  Section root(&tree, "", problems, job.places);
  if (!problems.empty()) return problems.ToStatus();
  ReadName(root, job.spec.name);
  ReadModel(root.Child("model"), folder, root, job.model);
  root.Count("rounds", 1, limits::kMaxRounds, job.spec.rounds);
  root.Count("seed", 0, std::numeric_limits<uint64_t>::max(), job.spec.seed);
  root.Match("cohort", job.spec.cohort);
  ReadPrivacy(root.Child("privacy"), job.spec.aggregation, job.spec.privacy);
  ReadRound(root.Child("round"), job.spec.aggregation, job.spec.round);
  ReadTrain(root.Child("train"), job.spec.train);
  Section evaluate = root.Child("evaluate");
  job.spec.evaluate.loss = job.spec.train.loss;
  evaluate.Count("batch_size", 1, limits::kMaxBatchSize, job.spec.evaluate.batch_size);
  evaluate.Choice("loss", kLosses, job.spec.evaluate.loss);
  evaluate.Finish();
  ReadServer(root.Child("server"), job.spec.server_optimizer);
  Section parameters = root.Child("parameters");
  parameters.Texts("personal", job.groups.personal);
  parameters.Texts("frozen", job.groups.frozen);
  parameters.Finish();
  ReadPersonalize(root.Child("personalize"), job.spec.train.loss, job.spec.personalize);
  ReadEvaluation(root.Child("evaluation"), job.spec.evaluation);
  root.Finish();
  MUSTER_RETURN_IF_ERROR(problems.ToStatus());
  return job;
}

absl::StatusOr<JobFile> ReadJobFile(const std::filesystem::path& path,
                                    std::span<const std::string> overrides) {
  auto yaml = ReadFile(path, limits::kMaxJobFileBytes);
  if (absl::IsNotFound(yaml.status())) {
    return absl::NotFoundError(
        StrCat(path.string(),
               ": no such file; a job file says what to train, see `muster run "
               "--help`"));
  }
  if (!yaml.ok()) return Annotate(yaml.status(), "the job file");
  return ParseJobFile(*yaml, path.string(), path.parent_path(), overrides);
}

}  // namespace muster::cli
