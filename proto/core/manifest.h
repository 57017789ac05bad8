// What a package says about the model version that it carries, and where that version comes from.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "proto/core/architecture.h"
#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/layout.h"
#include "proto/core/plan.h"
#include "proto/core/time.h"

namespace muster {

struct Lineage {
  JobId job;                           // empty for a version that no job made
  uint32_t round = 0;                  // 0: the initial weights
  Digest parent_weights;               // that the round started from; empty for initial weights
  uint64_t clients = 0, examples = 0;  // updates in the sum, and the examples behind them
  std::string aggregation;             // "clear", or the secure protocol's name
  Timestamp created;
  std::map<std::string, double> metrics;  // example-weighted means of what the clients reported
  friend bool operator==(const Lineage&, const Lineage&) = default;
};

struct Manifest {
  ModelName name;
  uint32_t version = 0;           // 0: the weights that a job starts from, no version yet
  uint64_t security_version = 1;  // anti-rollback: devices keep a floor
  Architecture architecture;
  ParameterLayout layout;
  TrainPlan train;
  EvaluatePlan evaluate;
  PersonalizePlan personalize;
  uint32_t total_rounds = 0;  // of the job, for learning-rate schedules
  Lineage lineage;
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

}  // namespace muster
