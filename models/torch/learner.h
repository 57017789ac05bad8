// A network with its parameters in one flat vector, and what a device does with it. No LibTorch in
// this header. Not thread-safe; one thread per process (see functions.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/data/dataset.h"
#include "proto/core/architecture.h"
#include "proto/core/layout.h"
#include "proto/core/plan.h"

namespace muster {

struct TrainOptions {
  double learning_rate = 0;    // of this round, see LearningRateAt; plan.learning_rate is not read
  uint64_t seed = 0;           // of the shuffles and of dropout
  std::vector<bool> trained;   // per layout entry: gets gradients
  std::vector<bool> anchored;  // per layout entry: plan.proximal_mu pulls it toward its start
};

struct TrainReport {
  uint64_t steps = 0;
  uint64_t examples = 0;  // distinct ones that were trained on
  double loss = 0;        // mean over all steps, weighted by batch size, without the proximal term
  double loss_first = 0, loss_last = 0;  // first and last batch
  double accuracy = 0;                   // before each step, over all steps
};

struct Evaluation {
  double loss = 0, accuracy = 0;
};

class Learner {
 public:
  // `layout` is the manifest's: it must name exactly what the network has, with its shapes.
  static absl::StatusOr<Learner> FromArchitecture(const Architecture& architecture,
                                                  const ParameterLayout& layout);
  // A TorchScript file, see inspect.h for what is refused. `input_shape` may be empty: the data's.
  static absl::StatusOr<Learner> FromModule(const std::filesystem::path& pt,
                                            const ParameterLayout& layout,
                                            std::span<const uint32_t> input_shape);
  Learner(Learner&&) noexcept;
  Learner& operator=(Learner&&) noexcept;
  ~Learner();

  // [layout.total_size()]; the network's parameters are views into it.
  std::span<float> weights();

  // Outputs in evaluation mode: `features` is [n, example]; returns [n, outputs].
  absl::StatusOr<std::vector<float>> Predict(std::span<const float> features, size_t n,
                                             std::span<const uint32_t> example_shape);

  // Changes weights(). plan.max_examples takes a random subset by seed. FailedPrecondition when the
  // loss or a parameter stops being finite; weights() are then worthless.
  absl::StatusOr<TrainReport> Train(const Dataset& data, const TrainPlan& plan,
                                    const TrainOptions& options);

  absl::StatusOr<Evaluation> Evaluate(const Dataset& data, const EvaluatePlan& plan);

 private:
  struct Impl;
  explicit Learner(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster
