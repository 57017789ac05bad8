// A training job as a researcher describes it, validated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/architecture.h"
#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/labels.h"
#include "proto/core/layout.h"
#include "proto/core/plan.h"
#include "proto/core/time.h"

namespace muster {

enum class ServerOptimizerKind { kFedAvg, kFedAvgM, kFedAdagrad, kFedAdam, kFedYogi };
std::string_view ServerOptimizerName(ServerOptimizerKind kind);  // "fedavg", ...
absl::StatusOr<ServerOptimizerKind> ParseServerOptimizer(std::string_view name);

// Reddi et al. 2021, "Adaptive Federated Optimization"; FedAvgM: Hsu et al. 2019.
struct ServerOptimizerConfig {
  ServerOptimizerKind kind = ServerOptimizerKind::kFedAvg;
  double learning_rate = 1.0;
  double momentum = 0.9;             // FedAvgM
  double beta1 = 0.9, beta2 = 0.99;  // adaptive
  double tau = 1e-3;                 // adaptivity
  friend bool operator==(const ServerOptimizerConfig&, const ServerOptimizerConfig&) = default;
};
// The papers' defaults for `kind`.
ServerOptimizerConfig DefaultServerOptimizer(ServerOptimizerKind kind);

struct RoundConfig {
  uint32_t clients = 10;        // updates that close a round
  double over_selection = 1.0;  // invited = ceil(clients * over_selection)
  uint32_t quorum = 1;          // updates without which a deadline abandons the round
  Duration deadline = std::chrono::minutes(5);
  uint32_t max_attempts = 3;  // of one round, before the job fails
  friend bool operator==(const RoundConfig&, const RoundConfig&) = default;
};

struct EvaluationConfig {
  bool enabled = false;
  Selector evaluator;  // the designated evaluator client: one device that matches
  uint32_t every = 1;  // rounds; the last round is always evaluated
  Duration deadline = std::chrono::minutes(5);
  friend bool operator==(const EvaluationConfig&, const EvaluationConfig&) = default;
};

// How updates reach the sum. Secure aggregation takes its place here.
enum class AggregationMode { kClear };

struct JobSpec {
  ModelName name;             // versions are name@1, name@2, ...
  Architecture architecture;  // layers may be empty for a TorchScript module whose graph
                              // has no layer list; input_shape and outputs never are
  Digest module;              // TorchScript file, or empty for a zoo model
  ParameterLayout layout;     // with groups assigned
  Digest initial_weights;     // float32[layout.total_size()]
  uint32_t rounds = 10;
  uint64_t seed = 1;
  Selector cohort;
  RoundConfig round;
  TrainPlan train;
  EvaluatePlan evaluate;
  PersonalizePlan personalize;
  ServerOptimizerConfig server_optimizer;
  EvaluationConfig evaluation;
  AggregationMode aggregation = AggregationMode::kClear;
  friend bool operator==(const JobSpec&, const JobSpec&) = default;
};

// Cross-field rules: quorum <= clients, at least one shared parameter, positive rates, named
// limits.
absl::Status ValidateJobSpec(const JobSpec& spec);

}  // namespace muster
