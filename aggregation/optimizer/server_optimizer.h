// The server's step from the clients' mean update to the next global weights, after Reddi et al.
// 2021, "Adaptive Federated Optimization" (algorithms 1 and 2), and Hsu et al. 2019, "Measuring the
// Effects of Non-Identical Data Distribution for Federated Visual Classification" (FedAvgM).
//
// With D the mean update (local weights minus global weights), x the weights, e the server's
// learning rate, b its momentum, and every operation elementwise:
//
//   fedavg      x += e D
//   fedavgm     m = b m + D                                     x += e m
//   fedadagrad  m = b1 m + (1 - b1) D,  v = v + D^2             x += e m / (sqrt(v) + tau)
//   fedadam     m as above,  v = b2 v + (1 - b2) D^2            x as above
//   fedyogi     m as above,  v = v - (1 - b2) D^2 sign(v - D^2) x as above
//
// m starts at 0 and v at tau^2, the smallest start that the paper allows. There is no bias
// correction, as in the paper. Arithmetic is in double, without contraction, and results are stored
// as float32: the same inputs give the same bytes on every run and machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "proto/core/job_spec.h"

namespace muster {

// What an optimizer remembers from round to round. Empty for fedavg; fedavgm keeps m; the adaptive
// ones keep m and v. Each vector is empty or [shared]. Default-constructed before the first step.
struct OptimizerState {
  uint64_t step = 0;  // steps taken
  std::vector<float> momentum;
  std::vector<float> second_moment;
  friend bool operator==(const OptimizerState&, const OptimizerState&) = default;
};

// One step; `mean_delta` and `shared_weights` are [shared]. All or nothing:
//   InvalidArgument     sizes differ, or a value of the update is NaN or infinite
//   FailedPrecondition  the state is not this optimizer's, for this many parameters
//   OutOfRange          a weight would leave float32: the learning rate is far too high
absl::Status ApplyServerOptimizer(const ServerOptimizerConfig& config,
                                  std::span<const float> mean_delta,
                                  std::span<float> shared_weights, OptimizerState& state);

}  // namespace muster
