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
#include "proto/core/mask_cipher.h"
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

// How updates reach the sum: in the clear, or masked by secure aggregation so that the coordinator
// sees nothing but the sum. kMalicious is designed against a coordinator that deviates from the
// protocol, at the price of one more exchange and more neighbours.
enum class AggregationMode { kClear, kSemiHonest, kMalicious };
std::string_view AggregationModeName(AggregationMode mode);  // "off", "semi-honest", "malicious"

struct AggregationConfig {
  AggregationMode mode = AggregationMode::kSemiHonest;
  double drop = 0.1;        // fraction of a round's clients that may drop out in its protocol
  double corrupt = 0.1;     // fraction that may collude with the coordinator
  double clip = 100;        // L2 norm that each update is clipped to
  uint32_t ring_bits = 32;  // 16, 32 or 64
  MaskCipher cipher = MaskCipher::kAes128Ctr;
  Duration phase_deadline = std::chrono::seconds(60);  // of each exchange after training
  bool secure() const { return mode != AggregationMode::kClear; }
  friend bool operator==(const AggregationConfig&, const AggregationConfig&) = default;
};

// Differential privacy for whole clients. kCentral: the coordinator adds the noise to the sum
// (DP-FedAvg, McMahan et al. 2018). kDistributed: each client adds its part before masking, so that
// the coordinator never sees a sum without noise (Skellam, Agarwal et al. 2021). Every client has
// weight 1. Needs secure aggregation.
enum class PrivacyKind { kNone, kCentral, kDistributed };
std::string_view PrivacyKindName(PrivacyKind kind);  // "none", "central", "distributed"

struct PrivacyConfig {
  PrivacyKind kind = PrivacyKind::kNone;
  double noise_multiplier = 1.0;  // standard deviation of the sum's noise / clip
  double delta = 1e-5;
  double epsilon_budget = 8;  // no round starts that would exceed it
  // Adaptive clipping (Andrew et al. 2021), central only: the clip follows this quantile of the
  // updates' norms.
  bool adaptive_clip = false;
  double clip_quantile = 0.5;
  double clip_rate = 0.2;  // geometric learning rate of the clip
  double clip_noise = 0;   // deviation of the count's noise; 0: a tenth of round.clients / 2
  friend bool operator==(const PrivacyConfig&, const PrivacyConfig&) = default;
};

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
  AggregationConfig aggregation;
  PrivacyConfig privacy;
  friend bool operator==(const JobSpec&, const JobSpec&) = default;
};

// What the coordinator sees of a job's updates, in words: "off: the coordinator sees every update".
std::string DescribeAggregation(const JobSpec& spec);

// Cross-field rules: quorum <= clients, at least one shared parameter, positive rates, named
// limits.
absl::Status ValidateJobSpec(const JobSpec& spec);

}  // namespace muster
