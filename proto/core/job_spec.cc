#include "proto/core/job_spec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/core/suggest.h"

namespace muster {
namespace {

constexpr std::array<std::string_view, 5> kOptimizerNames = {"fedavg", "fedavgm", "fedadagrad",
                                                             "fedadam", "fedyogi"};
constexpr std::array<std::string_view, 3> kAggregationNames = {"off", "semi-honest", "malicious"};
constexpr std::array<std::string_view, 3> kPrivacyNames = {"none", "central", "distributed"};

template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(StrCat(parts...));
}

absl::Status CheckCount(std::string_view field, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Invalid(field, " is ", value, "; it must be from ", low, " to ", high);
}

// NaN fails every comparison, so it is refused by each of these.
absl::Status CheckPositive(std::string_view field, double value) {
  if (value > 0 && std::isfinite(value)) return absl::OkStatus();
  return Invalid(field, " is ", value, "; it must be a finite number above 0");
}
absl::Status CheckNotNegative(std::string_view field, double value) {
  if (value >= 0 && std::isfinite(value)) return absl::OkStatus();
  return Invalid(field, " is ", value, "; it must be a finite number, 0 or above");
}
absl::Status CheckDecay(std::string_view field, double value) {  // a share of the past to keep
  if (value >= 0 && value < 1) return absl::OkStatus();
  return Invalid(field, " is ", value, "; it must be at least 0 and below 1");
}
absl::Status CheckDeadline(std::string_view field, Duration value) {
  if (value > Duration::zero() && value <= limits::kMaxRoundDeadline) return absl::OkStatus();
  return Invalid(field, " is ", static_cast<double>(value.count()) / 1e6,
                 " s; it must be above 0 and at most ",
                 std::chrono::duration_cast<std::chrono::hours>(limits::kMaxRoundDeadline).count(),
                 " h");
}

absl::Status CheckSchedule(std::string_view at, const LearningRateSchedule& schedule) {
  if (schedule.kind == ScheduleKind::kStep) {
    if (!(schedule.gamma > 0 && schedule.gamma <= 1)) {
      return Invalid(at, ".schedule.gamma is ", schedule.gamma,
                     "; it must be above 0 and at most 1");
    }
    return CheckCount(StrCat(at, ".schedule.every"), schedule.every, 1, limits::kMaxRounds);
  }
  if (schedule.kind == ScheduleKind::kCosine && !(schedule.floor >= 0 && schedule.floor <= 1)) {
    return Invalid(at, ".schedule.floor is ", schedule.floor, "; it must be from 0 to 1");
  }
  return absl::OkStatus();
}

absl::Status CheckLoss(std::string_view at, LossKind loss, const JobSpec& spec) {
  if (loss != LossKind::kModule || !spec.module.empty()) return absl::OkStatus();
  return Invalid(at,
                 ".loss is 'module', but the model is not a TorchScript module with a loss "
                 "method; name a loss such as cross_entropy");
}

absl::Status CheckTrainPlan(std::string_view at, const TrainPlan& plan, const JobSpec& spec) {
  const auto field = [at](std::string_view name) { return StrCat(at, ".", name); };
  MUSTER_RETURN_IF_ERROR(CheckPositive(field("learning_rate"), plan.learning_rate));
  if (plan.optimizer == LocalOptimizer::kSgd) {
    MUSTER_RETURN_IF_ERROR(CheckDecay(field("momentum"), plan.momentum));
  } else {
    MUSTER_RETURN_IF_ERROR(CheckDecay(field("beta1"), plan.beta1));
    MUSTER_RETURN_IF_ERROR(CheckDecay(field("beta2"), plan.beta2));
    MUSTER_RETURN_IF_ERROR(CheckPositive(field("epsilon"), plan.epsilon));
  }
  MUSTER_RETURN_IF_ERROR(CheckNotNegative(field("weight_decay"), plan.weight_decay));
  MUSTER_RETURN_IF_ERROR(CheckNotNegative(field("clip_norm"), plan.clip_norm));
  MUSTER_RETURN_IF_ERROR(CheckNotNegative(field("proximal_mu"), plan.proximal_mu));
  MUSTER_RETURN_IF_ERROR(CheckSchedule(at, plan.schedule));
  if (plan.steps == 0) {
    MUSTER_RETURN_IF_ERROR(CheckCount(field("epochs"), plan.epochs, 1, limits::kMaxEpochs));
  }
  MUSTER_RETURN_IF_ERROR(CheckCount(field("steps"), plan.steps, 0, limits::kMaxLocalSteps));
  MUSTER_RETURN_IF_ERROR(
      CheckCount(field("batch_size"), plan.batch_size, 1, limits::kMaxBatchSize));
  MUSTER_RETURN_IF_ERROR(
      CheckCount(field("max_examples"), plan.max_examples, 0, limits::kMaxExamplesPerUpdate));
  return CheckLoss(at, plan.loss, spec);
}

absl::Status CheckPersonalize(const PersonalizePlan& plan, const JobSpec& spec) {
  if (!plan.enabled) return absl::OkStatus();
  MUSTER_RETURN_IF_ERROR(CheckTrainPlan("personalize", plan.train, spec));
  MUSTER_RETURN_IF_ERROR(CheckCount("personalize.calibration_examples", plan.calibration_examples,
                                    1, limits::kMaxCalibrationExamples));
  if (plan.calibration == CalibrationMethod::kPercentile &&
      !(plan.calibration_percentile > 50 && plan.calibration_percentile <= 100)) {
    return Invalid("personalize.calibration_percentile is ", plan.calibration_percentile,
                   "; it must be above 50 and at most 100");
  }
  if (!(plan.gate_margin >= 0 && plan.gate_margin <= 1)) {
    return Invalid("personalize.gate_margin is ", plan.gate_margin,
                   "; it is an accuracy from 0 to 1");
  }
  return absl::OkStatus();
}

absl::Status CheckRound(const RoundConfig& round) {
  MUSTER_RETURN_IF_ERROR(CheckCount("round.clients", round.clients, 1, limits::kMaxCohort));
  if (!(round.over_selection >= 1 && round.over_selection <= limits::kMaxOverSelection)) {
    return Invalid("round.over_selection is ", round.over_selection, "; it must be from 1 to ",
                   limits::kMaxOverSelection);
  }
  if (std::ceil(round.clients * round.over_selection) > limits::kMaxCohort) {
    return Invalid("round.clients x round.over_selection invites more than ", limits::kMaxCohort,
                   " devices; lower one of them");
  }
  if (round.quorum < 1 || round.quorum > round.clients) {
    return Invalid("round.quorum is ", round.quorum, "; it must be from 1 to round.clients, ",
                   round.clients);
  }
  MUSTER_RETURN_IF_ERROR(CheckDeadline("round.deadline", round.deadline));
  return CheckCount("round.max_attempts", round.max_attempts, 1, limits::kMaxRoundAttempts);
}

absl::Status CheckServerOptimizer(const ServerOptimizerConfig& config) {
  MUSTER_RETURN_IF_ERROR(CheckPositive("server_optimizer.learning_rate", config.learning_rate));
  switch (config.kind) {
    case ServerOptimizerKind::kFedAvg:
      return absl::OkStatus();
    case ServerOptimizerKind::kFedAvgM:
      return CheckDecay("server_optimizer.momentum", config.momentum);
    case ServerOptimizerKind::kFedAdagrad:
    case ServerOptimizerKind::kFedAdam:
    case ServerOptimizerKind::kFedYogi:
      break;
  }
  MUSTER_RETURN_IF_ERROR(CheckDecay("server_optimizer.beta1", config.beta1));
  if (config.kind != ServerOptimizerKind::kFedAdagrad) {
    MUSTER_RETURN_IF_ERROR(CheckDecay("server_optimizer.beta2", config.beta2));
  }
  return CheckPositive("server_optimizer.tau", config.tau);
}

absl::Status CheckFraction(std::string_view field, double value) {
  if (value >= 0 && value < limits::kMaxClientFraction) return absl::OkStatus();
  return Invalid(field, " is ", value, "; it is a fraction of the clients, at least 0 and below ",
                 limits::kMaxClientFraction);
}
// Above 0 and at most `high`.
absl::Status CheckUpTo(std::string_view field, double value, double high) {
  if (value > 0 && value <= high) return absl::OkStatus();
  return Invalid(field, " is ", value, "; it must be above 0 and at most ", high);
}
// Neither 0 nor 1.
absl::Status CheckBetweenZeroAndOne(std::string_view field, double value) {
  if (value > 0 && value < 1) return absl::OkStatus();
  return Invalid(field, " is ", value, "; it must be above 0 and below 1");
}

absl::Status CheckAggregation(const JobSpec& spec) {
  const AggregationConfig& config = spec.aggregation;
  if (!config.secure()) return absl::OkStatus();
  const auto field = [](std::string_view name) {
    return StrCat("privacy.secure_aggregation.", name);
  };
  MUSTER_RETURN_IF_ERROR(CheckFraction(field("drop"), config.drop));
  MUSTER_RETURN_IF_ERROR(CheckFraction(field("corrupt"), config.corrupt));
  MUSTER_RETURN_IF_ERROR(CheckUpTo("privacy.clip", config.clip, limits::kMaxClip));
  if (config.ring_bits != 16 && config.ring_bits != 32 && config.ring_bits != 64) {
    return Invalid(field("ring_bits"), " is ", config.ring_bits, "; it must be 16, 32 or 64");
  }
  if (config.phase_deadline < limits::kMinPhaseDeadline ||
      config.phase_deadline > limits::kMaxPhaseDeadline) {
    return Invalid(field("phase_deadline"), " is ",
                   static_cast<double>(config.phase_deadline.count()) / 1e6,
                   " s; it must be from 1 s to ", limits::kMaxPhaseDeadline.count(), " h");
  }
  if (spec.round.quorum < limits::kMinSecureClients) {
    return Invalid(
        "round.quorum is ", spec.round.quorum, "; secure aggregation needs at least ",
        limits::kMinSecureClients,
        " updates in a sum, so that it hides each one (or set "
        "privacy.secure_aggregation.mode to off, and the coordinator sees every update)");
  }
  return absl::OkStatus();
}

absl::Status CheckAdaptiveClip(const PrivacyConfig& config) {
  if (!config.adaptive_clip) return absl::OkStatus();
  const auto field = [](std::string_view name) {
    return StrCat("privacy.differential_privacy.adaptive_clip.", name);
  };
  if (config.kind != PrivacyKind::kCentral) {
    return Invalid(
        "privacy.differential_privacy.adaptive_clip works in mode central only; leave it out or "
        "set the mode to central");
  }
  MUSTER_RETURN_IF_ERROR(CheckBetweenZeroAndOne(field("quantile"), config.clip_quantile));
  MUSTER_RETURN_IF_ERROR(CheckUpTo(field("rate"), config.clip_rate, limits::kMaxClipRate));
  if (!(config.clip_noise >= 0 && config.clip_noise <= limits::kMaxClipNoise)) {
    return Invalid(field("noise"), " is ", config.clip_noise, "; it must be from 0 to ",
                   limits::kMaxClipNoise);
  }
  return absl::OkStatus();
}

absl::Status CheckPrivacy(const JobSpec& spec) {
  const PrivacyConfig& config = spec.privacy;
  if (config.kind == PrivacyKind::kNone) return absl::OkStatus();
  const auto field = [](std::string_view name) {
    return StrCat("privacy.differential_privacy.", name);
  };
  if (!spec.aggregation.secure()) {
    return Invalid(field("mode"), " is ", PrivacyKindName(config.kind),
                   ", which needs secure aggregation; set privacy.secure_aggregation.mode to "
                   "semi-honest or malicious");
  }
  MUSTER_RETURN_IF_ERROR(
      CheckUpTo(field("noise_multiplier"), config.noise_multiplier, limits::kMaxNoiseMultiplier));
  MUSTER_RETURN_IF_ERROR(CheckBetweenZeroAndOne(field("delta"), config.delta));
  MUSTER_RETURN_IF_ERROR(
      CheckUpTo(field("epsilon"), config.epsilon_budget, limits::kMaxEpsilonBudget));
  if (config.kind == PrivacyKind::kDistributed && spec.aggregation.ring_bits < 32) {
    return Invalid("privacy.secure_aggregation.ring_bits is ", spec.aggregation.ring_bits,
                   "; distributed differential privacy needs 32 or 64, to hold the noise");
  }
  return CheckAdaptiveClip(config);
}

absl::Status CheckParameterNames(const Architecture& architecture, const ParameterLayout& layout) {
  std::set<std::string_view> names;
  for (const LayoutEntry& entry : layout.entries()) names.insert(entry.name);
  for (size_t i = 0; i < architecture.layers.size(); ++i) {
    const absl::Status status = std::visit(
        [&](const auto& layer) -> absl::Status {
          if constexpr (requires { layer.weight; }) {
            const bool has_bias = layer.bias.empty() || names.contains(layer.bias);
            if (!names.contains(layer.weight) || !has_bias) {
              return Invalid("layer ", i, " of the model uses parameter '",
                             has_bias ? layer.weight : layer.bias,
                             "', which its layout does not have");
            }
          }
          return absl::OkStatus();
        },
        architecture.layers[i]);
    MUSTER_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::Status CheckModel(const JobSpec& spec) {
  if (spec.name.empty()) return Invalid("the job has no name for its model");
  const Architecture& architecture = spec.architecture;
  if (architecture.input_shape.empty() ||
      std::count(architecture.input_shape.begin(), architecture.input_shape.end(), 0u) > 0) {
    return Invalid("model.input_shape must give every dimension of one example, each above 0");
  }
  MUSTER_RETURN_IF_ERROR(CheckCount("the rank of model.input_shape",
                                    architecture.input_shape.size(), 1, limits::kMaxTensorRank));
  if (architecture.outputs == 0) return Invalid("model.outputs is 0; a model has at least one");
  if (architecture.layers.empty() && spec.module.empty()) {
    return Invalid("the model has neither layers nor a TorchScript module");
  }
  if (spec.layout.total_size() == 0) return Invalid("the model has no parameters");
  if (spec.layout.shared_size() == 0) {
    return Invalid(
        "no parameter is shared, so there is nothing to aggregate; leave at least one "
        "out of the personal and frozen patterns");
  }
  if (spec.initial_weights.empty()) return Invalid("the job has no initial weights");
  return CheckParameterNames(architecture, spec.layout);
}

absl::Status CheckEvaluation(const JobSpec& spec) {
  MUSTER_RETURN_IF_ERROR(
      CheckCount("evaluate.batch_size", spec.evaluate.batch_size, 1, limits::kMaxBatchSize));
  MUSTER_RETURN_IF_ERROR(CheckLoss("evaluate", spec.evaluate.loss, spec));
  if (!spec.evaluation.enabled) return absl::OkStatus();
  MUSTER_RETURN_IF_ERROR(
      CheckCount("evaluation.every", spec.evaluation.every, 1, limits::kMaxRounds));
  return CheckDeadline("evaluation.deadline", spec.evaluation.deadline);
}

}  // namespace

std::string_view ServerOptimizerName(ServerOptimizerKind kind) {
  return kOptimizerNames.at(static_cast<size_t>(kind));
}

absl::StatusOr<ServerOptimizerKind> ParseServerOptimizer(std::string_view name) {
  const auto found = std::find(kOptimizerNames.begin(), kOptimizerNames.end(), name);
  if (found == kOptimizerNames.end()) {
    return Invalid("unknown server optimizer '", name, "'", DidYouMean(name, kOptimizerNames),
                   "; use fedavg, fedavgm, fedadagrad, fedadam or fedyogi");
  }
  return static_cast<ServerOptimizerKind>(found - kOptimizerNames.begin());
}

std::string_view AggregationModeName(AggregationMode mode) {
  return kAggregationNames.at(static_cast<size_t>(mode));
}
std::string_view PrivacyKindName(PrivacyKind kind) {
  return kPrivacyNames.at(static_cast<size_t>(kind));
}

std::string DescribeAggregation(const JobSpec& spec) {
  const AggregationConfig& config = spec.aggregation;
  if (!config.secure()) return "off: the coordinator sees every update";
  const bool malicious = config.mode == AggregationMode::kMalicious;
  const bool noisy = spec.privacy.kind == PrivacyKind::kDistributed;
  return StrCat("secure (", AggregationModeName(config.mode), "): ",
                malicious ? "designed so that even a coordinator that deviates from the protocol "
                            "sees the "
                          : "the coordinator sees the ",
                noisy ? "noisy " : "", "sum of at least ", spec.round.quorum,
                " updates, never one update, as long as ",
                malicious ? "" : "it keeps to the protocol and ", "no more than ",
                std::round(config.corrupt * 1e4) / 100, " % of the clients collude with it");
}

ServerOptimizerConfig DefaultServerOptimizer(ServerOptimizerKind kind) {
  ServerOptimizerConfig config{.kind = kind};
  switch (kind) {
    case ServerOptimizerKind::kFedAvg:
    case ServerOptimizerKind::kFedAvgM:
      break;
    case ServerOptimizerKind::kFedAdagrad:
      config.learning_rate = 0.1;
      config.beta1 = 0.0;  // the paper's FedAdagrad keeps no momentum
      break;
    case ServerOptimizerKind::kFedAdam:
    case ServerOptimizerKind::kFedYogi:
      config.learning_rate = 0.01;
      break;
  }
  return config;
}

absl::Status ValidateJobSpec(const JobSpec& spec) {
  MUSTER_RETURN_IF_ERROR(CheckModel(spec));
  MUSTER_RETURN_IF_ERROR(CheckCount("rounds", spec.rounds, 1, limits::kMaxRounds));
  MUSTER_RETURN_IF_ERROR(CheckRound(spec.round));
  MUSTER_RETURN_IF_ERROR(CheckTrainPlan("train", spec.train, spec));
  MUSTER_RETURN_IF_ERROR(CheckPersonalize(spec.personalize, spec));
  MUSTER_RETURN_IF_ERROR(CheckServerOptimizer(spec.server_optimizer));
  MUSTER_RETURN_IF_ERROR(CheckAggregation(spec));
  MUSTER_RETURN_IF_ERROR(CheckPrivacy(spec));
  return CheckEvaluation(spec);
}

}  // namespace muster
