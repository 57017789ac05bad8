#include "proto/codec/model_codec.h"
#include "proto/codec/model_fields.h"
#include "proto/core/limits.h"

namespace muster {
namespace wire {
namespace {

constexpr EnumPair<v1::Loss, LossKind> kLosses[] = {
    {v1::LOSS_CROSS_ENTROPY, LossKind::kCrossEntropy},
    {v1::LOSS_NLL, LossKind::kNll},
    {v1::LOSS_MSE, LossKind::kMse},
    {v1::LOSS_BCE_WITH_LOGITS, LossKind::kBceWithLogits},
    {v1::LOSS_MODULE, LossKind::kModule},
};
constexpr EnumPair<v1::LocalOptimizer, LocalOptimizer> kOptimizers[] = {
    {v1::LOCAL_OPTIMIZER_SGD, LocalOptimizer::kSgd},
    {v1::LOCAL_OPTIMIZER_ADAM, LocalOptimizer::kAdam},
};
constexpr EnumPair<v1::ScheduleKind, ScheduleKind> kSchedules[] = {
    {v1::SCHEDULE_KIND_CONSTANT, ScheduleKind::kConstant},
    {v1::SCHEDULE_KIND_STEP, ScheduleKind::kStep},
    {v1::SCHEDULE_KIND_COSINE, ScheduleKind::kCosine},
};
constexpr EnumPair<v1::PersonalizeScope, PersonalizeScope> kScopes[] = {
    {v1::PERSONALIZE_SCOPE_HEAD, PersonalizeScope::kHead},
    {v1::PERSONALIZE_SCOPE_ALL, PersonalizeScope::kAll},
};
constexpr EnumPair<v1::CalibrationMethod, CalibrationMethod> kCalibrations[] = {
    {v1::CALIBRATION_METHOD_MIN_MAX, CalibrationMethod::kMinMax},
    {v1::CALIBRATION_METHOD_PERCENTILE, CalibrationMethod::kPercentile},
};

absl::StatusOr<LearningRateSchedule> DecodeSchedule(const Field& at,
                                                    const v1::LearningRateSchedule& wire) {
  LearningRateSchedule decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.kind, DecodeEnum(at["kind"], kSchedules, wire.kind()));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["gamma"], wire.gamma(), 0, 1, Open::kLow));
  MUSTER_RETURN_IF_ERROR(CheckRange(at["every"], wire.every(), 1, limits::kMaxRounds, "rounds"));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["floor"], wire.floor(), 0, 1));
  decoded.gamma = wire.gamma();
  decoded.every = wire.every();
  decoded.floor = wire.floor();
  return decoded;
}

absl::Status CheckOptimizer(const Field& at, const v1::TrainPlan& wire) {
  MUSTER_RETURN_IF_ERROR(CheckReal(at["learning_rate"], wire.learning_rate(), 0,
                                   limits::kMaxLearningRate, Open::kLow));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["momentum"], wire.momentum(), 0, 1, Open::kHigh));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["beta1"], wire.beta1(), 0, 1, Open::kHigh));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["beta2"], wire.beta2(), 0, 1, Open::kHigh));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["epsilon"], wire.epsilon(), 0, 1, Open::kLow));
  MUSTER_RETURN_IF_ERROR(
      CheckReal(at["weight_decay"], wire.weight_decay(), 0, limits::kMaxPenalty));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["clip_norm"], wire.clip_norm(), 0, limits::kMaxPenalty));
  return CheckReal(at["proximal_mu"], wire.proximal_mu(), 0, limits::kMaxPenalty);
}

absl::Status CheckWork(const Field& at, const v1::TrainPlan& wire) {
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["epochs"], wire.epochs(), limits::kMaxEpochs));
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["steps"], wire.steps(), limits::kMaxLocalSteps));
  if (wire.epochs() == 0 && wire.steps() == 0) {
    return Refuse(at["epochs"], "is 0, and so is steps; one of them must say how much to train");
  }
  MUSTER_RETURN_IF_ERROR(
      CheckRange(at["batch_size"], wire.batch_size(), 1, limits::kMaxBatchSize, "examples"));
  return CheckAtMost(at["max_examples"], wire.max_examples(), limits::kMaxExamplesPerUpdate,
                     "examples");
}

}  // namespace

absl::StatusOr<TrainPlan> Decode(const Field& at, const v1::TrainPlan& wire) {
  TrainPlan decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.optimizer,
                          DecodeEnum(at["optimizer"], kOptimizers, wire.optimizer()));
  MUSTER_RETURN_IF_ERROR(CheckOptimizer(at, wire));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["schedule"], wire.has_schedule()));
  MUSTER_ASSIGN_OR_RETURN(decoded.schedule, DecodeSchedule(at["schedule"], wire.schedule()));
  MUSTER_RETURN_IF_ERROR(CheckWork(at, wire));
  MUSTER_ASSIGN_OR_RETURN(decoded.loss, DecodeEnum(at["loss"], kLosses, wire.loss()));
  decoded.learning_rate = wire.learning_rate();
  decoded.momentum = wire.momentum();
  decoded.beta1 = wire.beta1();
  decoded.beta2 = wire.beta2();
  decoded.epsilon = wire.epsilon();
  decoded.weight_decay = wire.weight_decay();
  decoded.epochs = wire.epochs();
  decoded.steps = wire.steps();
  decoded.batch_size = wire.batch_size();
  decoded.clip_norm = wire.clip_norm();
  decoded.proximal_mu = wire.proximal_mu();
  decoded.max_examples = wire.max_examples();
  return decoded;
}

absl::StatusOr<EvaluatePlan> Decode(const Field& at, const v1::EvaluatePlan& wire) {
  EvaluatePlan decoded;
  MUSTER_RETURN_IF_ERROR(
      CheckRange(at["batch_size"], wire.batch_size(), 1, limits::kMaxBatchSize, "examples"));
  decoded.batch_size = wire.batch_size();
  MUSTER_ASSIGN_OR_RETURN(decoded.loss, DecodeEnum(at["loss"], kLosses, wire.loss()));
  return decoded;
}

absl::StatusOr<PersonalizePlan> Decode(const Field& at, const v1::PersonalizePlan& wire) {
  PersonalizePlan decoded;
  decoded.enabled = wire.enabled();
  MUSTER_ASSIGN_OR_RETURN(decoded.scope, DecodeEnum(at["scope"], kScopes, wire.scope()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["train"], wire.has_train()));
  MUSTER_ASSIGN_OR_RETURN(decoded.train, Decode(at["train"], wire.train()));
  MUSTER_RETURN_IF_ERROR(CheckRange(at["calibration_examples"], wire.calibration_examples(), 1,
                                    limits::kMaxCalibrationExamples, "examples"));
  decoded.calibration_examples = wire.calibration_examples();
  MUSTER_ASSIGN_OR_RETURN(decoded.calibration,
                          DecodeEnum(at["calibration"], kCalibrations, wire.calibration()));
  MUSTER_RETURN_IF_ERROR(
      CheckReal(at["calibration_percentile"], wire.calibration_percentile(), 0, 100, Open::kLow));
  decoded.calibration_percentile = wire.calibration_percentile();
  MUSTER_RETURN_IF_ERROR(CheckReal(at["gate_margin"], wire.gate_margin(), 0, 1));
  decoded.gate_margin = wire.gate_margin();
  return decoded;
}

}  // namespace wire

absl::StatusOr<TrainPlan> DecodeTrainPlan(const v1::TrainPlan& wire) {
  return wire::Decode(wire::Field("model.TrainPlan"), wire);
}

v1::TrainPlan EncodeTrainPlan(const TrainPlan& plan) {
  v1::TrainPlan wire;
  wire.set_optimizer(wire::EncodeEnum(wire::kOptimizers, plan.optimizer));
  wire.set_learning_rate(plan.learning_rate);
  wire.set_momentum(plan.momentum);
  wire.set_beta1(plan.beta1);
  wire.set_beta2(plan.beta2);
  wire.set_epsilon(plan.epsilon);
  wire.set_weight_decay(plan.weight_decay);
  v1::LearningRateSchedule& schedule = *wire.mutable_schedule();
  schedule.set_kind(wire::EncodeEnum(wire::kSchedules, plan.schedule.kind));
  schedule.set_gamma(plan.schedule.gamma);
  schedule.set_every(plan.schedule.every);
  schedule.set_floor(plan.schedule.floor);
  wire.set_epochs(plan.epochs);
  wire.set_steps(plan.steps);
  wire.set_batch_size(plan.batch_size);
  wire.set_clip_norm(plan.clip_norm);
  wire.set_proximal_mu(plan.proximal_mu);
  wire.set_loss(wire::EncodeEnum(wire::kLosses, plan.loss));
  wire.set_max_examples(plan.max_examples);
  return wire;
}

absl::StatusOr<EvaluatePlan> DecodeEvaluatePlan(const v1::EvaluatePlan& wire) {
  return wire::Decode(wire::Field("model.EvaluatePlan"), wire);
}

v1::EvaluatePlan EncodeEvaluatePlan(const EvaluatePlan& plan) {
  v1::EvaluatePlan wire;
  wire.set_batch_size(plan.batch_size);
  wire.set_loss(wire::EncodeEnum(wire::kLosses, plan.loss));
  return wire;
}

absl::StatusOr<PersonalizePlan> DecodePersonalizePlan(const v1::PersonalizePlan& wire) {
  return wire::Decode(wire::Field("model.PersonalizePlan"), wire);
}

v1::PersonalizePlan EncodePersonalizePlan(const PersonalizePlan& plan) {
  v1::PersonalizePlan wire;
  wire.set_enabled(plan.enabled);
  wire.set_scope(wire::EncodeEnum(wire::kScopes, plan.scope));
  *wire.mutable_train() = EncodeTrainPlan(plan.train);
  wire.set_calibration_examples(plan.calibration_examples);
  wire.set_calibration(wire::EncodeEnum(wire::kCalibrations, plan.calibration));
  wire.set_calibration_percentile(plan.calibration_percentile);
  wire.set_gate_margin(plan.gate_margin);
  return wire;
}

}  // namespace muster
