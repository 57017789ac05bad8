// The two networks behind Learner. Includes LibTorch: only for .cc files of this room.
#pragma once

#include <torch/script.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/core/architecture.h"
#include "proto/core/layout.h"

namespace muster {

// Tensors over one flat float32 vector. entries[i] has layout.entries()[i]'s shape and memory.
struct FlatParameters {
  explicit FlatParameters(const ParameterLayout& layout);
  at::Tensor flat;  // [total_size]
  std::vector<at::Tensor> entries;
};

class Network {
 public:
  virtual ~Network() = default;

  // x: [batch, example]; returns [batch, outputs]. All of these may throw LibTorch's exceptions.
  virtual at::Tensor Forward(const at::Tensor& x) = 0;
  virtual bool HasLoss() const { return false; }
  // The module's own loss method: loss(x, y) -> scalar, y int64[batch].
  virtual at::Tensor Loss(const at::Tensor& x, const at::Tensor& y);
  virtual void SetTraining(bool) {}

  // What the optimizer sees, one per layout entry: set requires_grad on these.
  std::vector<at::Tensor>& parameters() { return parameters_; }
  at::Tensor& flat() { return flat_; }

 protected:
  at::Tensor flat_;
  std::vector<at::Tensor> parameters_;
};

absl::StatusOr<std::unique_ptr<Network>> MakeArchitectureNetwork(const Architecture& architecture,
                                                                 const ParameterLayout& layout);
absl::StatusOr<std::unique_ptr<Network>> MakeModuleNetwork(const std::filesystem::path& pt,
                                                           const ParameterLayout& layout);

// script_module.cc
absl::StatusOr<torch::jit::Module> LoadScriptedModule(const std::filesystem::path& pt);

// A copy of the method's graph with every call replaced by what it calls.
std::shared_ptr<torch::jit::Graph> InlinedGraph(const torch::jit::Method& method);

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
  bool trainable;  // a parameter with requires_grad
};
// Parameters, then float32 buffers. Integer and boolean buffers stay with the module.
absl::StatusOr<std::vector<NamedTensor>> FloatTensors(const torch::jit::Module& module);

// script_architecture.cc: the module's forward as a chain of layers, or nothing. Trusts neither
// itself nor the graph: the caller compares outputs.
std::optional<Architecture> ExtractArchitecture(const torch::jit::Module& module,
                                                std::span<const uint32_t> input_shape,
                                                uint32_t outputs);

}  // namespace muster
