#include <ATen/Parallel.h>
#include <torch/script.h>

#include <sstream>

#include "models/torch/functions.h"
#include "models/torch/learner.h"
#include "proto/core/log.h"

namespace muster {
namespace {

// Small, but through every operator family that functions use: convolution, pooling, linear, loss,
// backward, optimizer.
absl::Status TrainTinyNetwork() {
  Architecture network{
      .name = "warm-up",
      .input_shape = {1, 8, 8},
      .outputs = 2,
      .layers = {Conv2dLayer{.in = 1,
                             .out = 2,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .weight = "0.weight",
                             .bias = "0.bias"},
                 ReluLayer{}, Pool2dLayer{PoolKind::kMax, 2, 2, 2, 2}, FlattenLayer{},
                 LinearLayer{.in = 18, .out = 2, .weight = "4.weight", .bias = "4.bias"}}};
  absl::StatusOr<ParameterLayout> layout =
      ParameterLayout::Create({{.name = "0.weight", .shape = {2, 1, 3, 3}, .offset = 0},
                               {.name = "0.bias", .shape = {2}, .offset = 18},
                               {.name = "4.weight", .shape = {2, 18}, .offset = 20},
                               {.name = "4.bias", .shape = {2}, .offset = 56}});
  if (!layout.ok()) return layout.status();
  absl::StatusOr<Learner> learner = Learner::FromArchitecture(network, *layout);
  if (!learner.ok()) return learner.status();
  const Dataset data{.example_shape = {1, 8, 8},
                     .features = std::vector<float>(4 * 64, 0.5f),
                     .labels = {0, 1, 0, 1}};
  for (LocalOptimizer optimizer : {LocalOptimizer::kSgd, LocalOptimizer::kAdam}) {
    TrainPlan plan{.optimizer = optimizer, .momentum = 0.9, .steps = 2, .batch_size = 4};
    TrainOptions options{.learning_rate = 0.01,
                         .trained = std::vector<bool>(4, true),
                         .anchored = std::vector<bool>(4, false)};
    if (absl::StatusOr<TrainReport> report = learner->Train(data, plan, options); !report.ok()) {
      return report.status();
    }
  }
  return learner->Evaluate(data, EvaluatePlan()).status();
}

// The reader of .pt files and the interpreter.
void LoadTinyModule() {
  torch::jit::Module module("warm_up");
  module.register_parameter("w", at::ones({2, 2}).requires_grad_(), false);
  module.define("def forward(self, x):\n  return torch.relu(torch.linear(x, self.w, None))\n");
  std::stringstream file;
  module.save(file);
  torch::jit::Module loaded = torch::jit::load(file, at::kCPU);
  at::Tensor x = at::ones({1, 2});
  loaded.forward({x}).toTensor().sum().backward();
}

}  // namespace

void WarmUp() {
  at::set_num_threads(1);
  at::set_num_interop_threads(1);
  // Local training is short: optimizing its graphs costs more than it brings.
  torch::jit::setGraphExecutorOptimize(false);
  torch::jit::getProfilingMode() = false;
  try {
    LoadTinyModule();
  } catch (const std::exception& error) {
    LogWarning("warm-up: TorchScript", {{"error", error.what()}});
  }
  if (absl::Status status = TrainTinyNetwork(); !status.ok()) {
    LogWarning("warm-up: training", {{"error", std::string(status.message())}});
  }
}

}  // namespace muster
