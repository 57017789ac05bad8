// What a function does on a device: the hyperparameters that a package carries and signs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

enum class FunctionKind { kTrain, kEvaluate, kPersonalize, kInfer };
std::string_view FunctionName(FunctionKind kind);  // "train", ...

enum class LossKind { kCrossEntropy, kNll, kMse, kBceWithLogits, kModule };
std::string_view LossName(
    LossKind kind);  // "cross_entropy", "nll", "mse", "bce_with_logits", "module"
absl::StatusOr<LossKind> ParseLoss(std::string_view name);

enum class LocalOptimizer { kSgd, kAdam };

// The learning rate of round r (from 1): constant; step: rate * gamma^((r-1)/every); cosine: from
// rate down to rate * floor over the job's rounds.
enum class ScheduleKind { kConstant, kStep, kCosine };
struct LearningRateSchedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  double gamma = 0.1;
  uint32_t every = 10;
  double floor = 0.0;
  friend bool operator==(const LearningRateSchedule&, const LearningRateSchedule&) = default;
};
double LearningRateAt(double base, const LearningRateSchedule& schedule, uint32_t round,
                      uint32_t total_rounds);

struct TrainPlan {
  LocalOptimizer optimizer = LocalOptimizer::kSgd;
  double learning_rate = 0.02;
  double momentum = 0.0;                              // SGD
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // Adam (Kingma and Ba 2015)
  double weight_decay = 0.0;
  LearningRateSchedule schedule;
  uint32_t epochs = 1;
  uint32_t steps = 0;  // if > 0: this many batches instead of epochs
  uint32_t batch_size = 32;
  double clip_norm = 0.0;    // L2 norm of the gradient; 0: no clipping
  double proximal_mu = 0.0;  // FedProx (Li et al. 2020); 0: plain local training
  LossKind loss = LossKind::kCrossEntropy;
  uint64_t max_examples = 0;  // per round and device; 0: all
  friend bool operator==(const TrainPlan&, const TrainPlan&) = default;
};

enum class PersonalizeScope { kHead, kAll };  // the last parametrised layer, or every parameter
enum class CalibrationMethod { kMinMax, kPercentile };

// Fine-tuning on the device, int8 export, and the local gate between them and the fleet.
struct PersonalizePlan {
  bool enabled = true;
  PersonalizeScope scope = PersonalizeScope::kAll;
  TrainPlan train;  // proximal_mu pulls toward the global model
  uint32_t calibration_examples = 256;
  CalibrationMethod calibration = CalibrationMethod::kMinMax;
  double calibration_percentile = 99.99;
  double gate_margin = 0.01;  // accuracy that personalized int8 may lose against
                              // the global fp32 model on held-out local data
  friend bool operator==(const PersonalizePlan&, const PersonalizePlan&) = default;
};

struct EvaluatePlan {
  uint32_t batch_size = 256;
  LossKind loss = LossKind::kCrossEntropy;
  friend bool operator==(const EvaluatePlan&, const EvaluatePlan&) = default;
};

}  // namespace muster
