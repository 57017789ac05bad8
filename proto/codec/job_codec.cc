#include "proto/codec/job_codec.h"

#include "proto/codec/field.h"
#include "proto/codec/job_fields.h"
#include "proto/codec/json.h"
#include "proto/codec/model_codec.h"
#include "proto/codec/model_fields.h"
#include "proto/core/limits.h"

namespace muster {
namespace wire {
namespace {

constexpr EnumPair<v1::ServerOptimizer, ServerOptimizerKind> kServerOptimizers[] = {
    {v1::SERVER_OPTIMIZER_FEDAVG, ServerOptimizerKind::kFedAvg},
    {v1::SERVER_OPTIMIZER_FEDAVGM, ServerOptimizerKind::kFedAvgM},
    {v1::SERVER_OPTIMIZER_FEDADAGRAD, ServerOptimizerKind::kFedAdagrad},
    {v1::SERVER_OPTIMIZER_FEDADAM, ServerOptimizerKind::kFedAdam},
    {v1::SERVER_OPTIMIZER_FEDYOGI, ServerOptimizerKind::kFedYogi},
};
constexpr EnumPair<v1::AggregationMode, AggregationMode> kAggregations[] = {
    {v1::AGGREGATION_MODE_CLEAR, AggregationMode::kClear},
    {v1::AGGREGATION_MODE_SEMI_HONEST, AggregationMode::kSemiHonest},
    {v1::AGGREGATION_MODE_MALICIOUS, AggregationMode::kMalicious},
};
constexpr EnumPair<v1::PrivacyKind, PrivacyKind> kPrivacyKinds[] = {
    {v1::PRIVACY_KIND_NONE, PrivacyKind::kNone},
    {v1::PRIVACY_KIND_CENTRAL, PrivacyKind::kCentral},
    {v1::PRIVACY_KIND_DISTRIBUTED, PrivacyKind::kDistributed},
};

absl::StatusOr<ServerOptimizerConfig> Decode(const Field& at,
                                             const v1::ServerOptimizerConfig& wire) {
  ServerOptimizerConfig decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.kind, DecodeEnum(at["kind"], kServerOptimizers, wire.kind()));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["learning_rate"], wire.learning_rate(), 0,
                                   limits::kMaxLearningRate, Open::kLow));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["momentum"], wire.momentum(), 0, 1, Open::kHigh));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["beta1"], wire.beta1(), 0, 1, Open::kHigh));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["beta2"], wire.beta2(), 0, 1, Open::kHigh));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["tau"], wire.tau(), 0, limits::kMaxPenalty, Open::kLow));
  decoded.learning_rate = wire.learning_rate();
  decoded.momentum = wire.momentum();
  decoded.beta1 = wire.beta1();
  decoded.beta2 = wire.beta2();
  decoded.tau = wire.tau();
  return decoded;
}

absl::StatusOr<RoundConfig> Decode(const Field& at, const v1::RoundConfig& wire) {
  RoundConfig decoded;
  MUSTER_RETURN_IF_ERROR(CheckRange(at["clients"], wire.clients(), 1, limits::kMaxCohort));
  decoded.clients = wire.clients();
  MUSTER_RETURN_IF_ERROR(
      CheckReal(at["over_selection"], wire.over_selection(), 1, limits::kMaxOverSelection));
  decoded.over_selection = wire.over_selection();
  MUSTER_RETURN_IF_ERROR(CheckRange(at["quorum"], wire.quorum(), 1, limits::kMaxCohort));
  decoded.quorum = wire.quorum();
  MUSTER_ASSIGN_OR_RETURN(decoded.deadline, DecodeDuration(at["deadline_us"], wire.deadline_us(),
                                                           Duration(1), limits::kMaxRoundDeadline));
  MUSTER_RETURN_IF_ERROR(
      CheckRange(at["max_attempts"], wire.max_attempts(), 1, limits::kMaxRoundAttempts));
  decoded.max_attempts = wire.max_attempts();
  return decoded;
}

absl::StatusOr<EvaluationConfig> Decode(const Field& at, const v1::EvaluationConfig& wire) {
  EvaluationConfig decoded;
  decoded.enabled = wire.enabled();
  MUSTER_ASSIGN_OR_RETURN(decoded.evaluator, DecodeSelector(at["evaluator"], wire.evaluator()));
  MUSTER_RETURN_IF_ERROR(CheckRange(at["every"], wire.every(), 1, limits::kMaxRounds, "rounds"));
  decoded.every = wire.every();
  MUSTER_ASSIGN_OR_RETURN(decoded.deadline, DecodeDuration(at["deadline_us"], wire.deadline_us(),
                                                           Duration(1), limits::kMaxRoundDeadline));
  return decoded;
}

absl::StatusOr<AggregationConfig> Decode(const Field& at, const v1::AggregationConfig& wire) {
  AggregationConfig decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.mode, DecodeEnum(at["mode"], kAggregations, wire.mode()));
  MUSTER_RETURN_IF_ERROR(
      CheckReal(at["drop"], wire.drop(), 0, limits::kMaxClientFraction, Open::kHigh));
  decoded.drop = wire.drop();
  MUSTER_RETURN_IF_ERROR(
      CheckReal(at["corrupt"], wire.corrupt(), 0, limits::kMaxClientFraction, Open::kHigh));
  decoded.corrupt = wire.corrupt();
  MUSTER_RETURN_IF_ERROR(CheckReal(at["clip"], wire.clip(), 0, limits::kMaxClip, Open::kLow));
  decoded.clip = wire.clip();
  if (wire.ring_bits() != 16 && wire.ring_bits() != 32 && wire.ring_bits() != 64) {
    return Refuse(at["ring_bits"], StrCat(wire.ring_bits(), " is none of 16, 32 and 64"));
  }
  decoded.ring_bits = wire.ring_bits();
  MUSTER_ASSIGN_OR_RETURN(decoded.cipher, DecodeEnum(at["cipher"], kMaskCiphers, wire.cipher()));
  MUSTER_ASSIGN_OR_RETURN(decoded.phase_deadline,
                          DecodeDuration(at["phase_deadline_us"], wire.phase_deadline_us(),
                                         limits::kMinPhaseDeadline, limits::kMaxPhaseDeadline));
  return decoded;
}

absl::StatusOr<PrivacyConfig> Decode(const Field& at, const v1::PrivacyConfig& wire) {
  PrivacyConfig decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.kind, DecodeEnum(at["kind"], kPrivacyKinds, wire.kind()));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["noise_multiplier"], wire.noise_multiplier(), 0,
                                   limits::kMaxNoiseMultiplier, Open::kLow));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["delta"], wire.delta(), 0, 1, Open::kBoth));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["epsilon_budget"], wire.epsilon_budget(), 0,
                                   limits::kMaxEpsilonBudget, Open::kLow));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["clip_quantile"], wire.clip_quantile(), 0, 1, Open::kBoth));
  MUSTER_RETURN_IF_ERROR(
      CheckReal(at["clip_rate"], wire.clip_rate(), 0, limits::kMaxClipRate, Open::kLow));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["clip_noise"], wire.clip_noise(), 0, limits::kMaxClipNoise));
  decoded.noise_multiplier = wire.noise_multiplier();
  decoded.delta = wire.delta();
  decoded.epsilon_budget = wire.epsilon_budget();
  decoded.adaptive_clip = wire.adaptive_clip();
  decoded.clip_quantile = wire.clip_quantile();
  decoded.clip_rate = wire.clip_rate();
  decoded.clip_noise = wire.clip_noise();
  return decoded;
}

absl::Status DecodeModel(const Field& at, const v1::JobSpec& wire, JobSpec& decoded) {
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["architecture"], wire.has_architecture()));
  MUSTER_ASSIGN_OR_RETURN(decoded.architecture, Decode(at["architecture"], wire.architecture()));
  MUSTER_ASSIGN_OR_RETURN(decoded.module, DecodeOptionalDigest(at["module"], wire.module()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["layout"], wire.has_layout()));
  MUSTER_ASSIGN_OR_RETURN(decoded.layout, Decode(at["layout"], wire.layout()));
  MUSTER_RETURN_IF_ERROR(CheckParameters(at["architecture"], decoded.architecture, decoded.layout));
  MUSTER_ASSIGN_OR_RETURN(decoded.initial_weights,
                          DecodeDigest(at["initial_weights"], wire.initial_weights()));
  return absl::OkStatus();
}

absl::Status DecodePlans(const Field& at, const v1::JobSpec& wire, JobSpec& decoded) {
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["train"], wire.has_train()));
  MUSTER_ASSIGN_OR_RETURN(decoded.train, Decode(at["train"], wire.train()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["evaluate"], wire.has_evaluate()));
  MUSTER_ASSIGN_OR_RETURN(decoded.evaluate, Decode(at["evaluate"], wire.evaluate()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["personalize"], wire.has_personalize()));
  MUSTER_ASSIGN_OR_RETURN(decoded.personalize, Decode(at["personalize"], wire.personalize()));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JobSpec> Decode(const Field& at, const v1::JobSpec& wire) {
  JobSpec decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.name, DecodeId<ModelName>(at["name"], wire.name()));
  MUSTER_RETURN_IF_ERROR(DecodeModel(at, wire, decoded));
  MUSTER_RETURN_IF_ERROR(CheckRange(at["rounds"], wire.rounds(), 1, limits::kMaxRounds));
  decoded.rounds = wire.rounds();
  decoded.seed = wire.seed();
  MUSTER_ASSIGN_OR_RETURN(decoded.cohort, DecodeSelector(at["cohort"], wire.cohort()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["round"], wire.has_round()));
  MUSTER_ASSIGN_OR_RETURN(decoded.round, Decode(at["round"], wire.round()));
  MUSTER_RETURN_IF_ERROR(DecodePlans(at, wire, decoded));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["server_optimizer"], wire.has_server_optimizer()));
  MUSTER_ASSIGN_OR_RETURN(decoded.server_optimizer,
                          Decode(at["server_optimizer"], wire.server_optimizer()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["evaluation"], wire.has_evaluation()));
  MUSTER_ASSIGN_OR_RETURN(decoded.evaluation, Decode(at["evaluation"], wire.evaluation()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["aggregation"], wire.has_aggregation()));
  MUSTER_ASSIGN_OR_RETURN(decoded.aggregation, Decode(at["aggregation"], wire.aggregation()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["privacy"], wire.has_privacy()));
  MUSTER_ASSIGN_OR_RETURN(decoded.privacy, Decode(at["privacy"], wire.privacy()));
  if (absl::Status status = ValidateJobSpec(decoded); !status.ok()) return Refuse(at, status);
  return decoded;
}

namespace {

void Encode(const AggregationConfig& config, v1::AggregationConfig& wire) {
  wire.set_mode(EncodeEnum(kAggregations, config.mode));
  wire.set_drop(config.drop);
  wire.set_corrupt(config.corrupt);
  wire.set_clip(config.clip);
  wire.set_ring_bits(config.ring_bits);
  wire.set_cipher(EncodeEnum(kMaskCiphers, config.cipher));
  wire.set_phase_deadline_us(config.phase_deadline.count());
}

void Encode(const PrivacyConfig& config, v1::PrivacyConfig& wire) {
  wire.set_kind(EncodeEnum(kPrivacyKinds, config.kind));
  wire.set_noise_multiplier(config.noise_multiplier);
  wire.set_delta(config.delta);
  wire.set_epsilon_budget(config.epsilon_budget);
  wire.set_adaptive_clip(config.adaptive_clip);
  wire.set_clip_quantile(config.clip_quantile);
  wire.set_clip_rate(config.clip_rate);
  wire.set_clip_noise(config.clip_noise);
}

}  // namespace
}  // namespace wire

absl::StatusOr<JobSpec> DecodeJobSpec(const v1::JobSpec& wire) {
  return wire::Decode(wire::Field("job.JobSpec"), wire);
}

v1::JobSpec EncodeJobSpec(const JobSpec& spec) {
  v1::JobSpec wire;
  wire.set_name(spec.name.value());
  *wire.mutable_architecture() = EncodeArchitecture(spec.architecture);
  wire.set_module(wire::EncodeDigest(spec.module));
  *wire.mutable_layout() = EncodeLayout(spec.layout);
  wire.set_initial_weights(wire::EncodeDigest(spec.initial_weights));
  wire.set_rounds(spec.rounds);
  wire.set_seed(spec.seed);
  wire.set_cohort(spec.cohort.ToString());
  v1::RoundConfig& round = *wire.mutable_round();
  round.set_clients(spec.round.clients);
  round.set_over_selection(spec.round.over_selection);
  round.set_quorum(spec.round.quorum);
  round.set_deadline_us(spec.round.deadline.count());
  round.set_max_attempts(spec.round.max_attempts);
  *wire.mutable_train() = EncodeTrainPlan(spec.train);
  *wire.mutable_evaluate() = EncodeEvaluatePlan(spec.evaluate);
  *wire.mutable_personalize() = EncodePersonalizePlan(spec.personalize);
  v1::ServerOptimizerConfig& optimizer = *wire.mutable_server_optimizer();
  optimizer.set_kind(wire::EncodeEnum(wire::kServerOptimizers, spec.server_optimizer.kind));
  optimizer.set_learning_rate(spec.server_optimizer.learning_rate);
  optimizer.set_momentum(spec.server_optimizer.momentum);
  optimizer.set_beta1(spec.server_optimizer.beta1);
  optimizer.set_beta2(spec.server_optimizer.beta2);
  optimizer.set_tau(spec.server_optimizer.tau);
  v1::EvaluationConfig& evaluation = *wire.mutable_evaluation();
  evaluation.set_enabled(spec.evaluation.enabled);
  evaluation.set_evaluator(spec.evaluation.evaluator.ToString());
  evaluation.set_every(spec.evaluation.every);
  evaluation.set_deadline_us(spec.evaluation.deadline.count());
  wire::Encode(spec.aggregation, *wire.mutable_aggregation());
  wire::Encode(spec.privacy, *wire.mutable_privacy());
  return wire;
}

std::string SerializeJobSpec(const JobSpec& spec) {
  return SerializeDeterministically(EncodeJobSpec(spec));
}

absl::StatusOr<JobSpec> ParseJobSpec(std::string_view bytes) {
  if (bytes.size() > limits::kMaxMessageBytes) {
    return absl::InvalidArgumentError(StrCat(
        "job.JobSpec: ", bytes.size(), " bytes are above the limit of ", limits::kMaxMessageBytes));
  }
  v1::JobSpec wire;
  if (!wire.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("job.JobSpec: the bytes are no such message");
  }
  return DecodeJobSpec(wire);
}

}  // namespace muster
