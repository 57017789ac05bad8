#include "models/torch/inspect.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "models/torch/errors.h"
#include "models/torch/learner.h"
#include "models/torch/network.h"
#include "proto/core/random.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr int64_t kProbeExamples = 4;
constexpr double kProbeTolerance = 1e-4;  // relative to the largest output

absl::StatusOr<ParameterLayout> MakeLayout(const std::vector<NamedTensor>& tensors) {
  std::vector<LayoutEntry> entries;
  uint64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    LayoutEntry entry{.name = tensor.name, .offset = offset, .trainable = tensor.trainable};
    for (int64_t size : tensor.tensor.sizes()) entry.shape.push_back(static_cast<uint32_t>(size));
    offset += static_cast<uint64_t>(tensor.tensor.numel());
    entries.push_back(std::move(entry));
  }
  return ParameterLayout::Create(std::move(entries));
}

std::vector<float> Flatten(const std::vector<NamedTensor>& tensors, uint64_t total) {
  std::vector<float> weights;
  weights.reserve(total);
  for (const NamedTensor& tensor : tensors) {
    const at::Tensor dense = tensor.tensor.detach().contiguous();
    weights.insert(weights.end(), dense.data_ptr<float>(), dense.data_ptr<float>() + dense.numel());
  }
  return weights;
}

// Random examples in [0, 1), the same each time.
at::Tensor ProbeExamples(std::span<const uint32_t> input_shape) {
  std::vector<int64_t> shape{kProbeExamples};
  shape.insert(shape.end(), input_shape.begin(), input_shape.end());
  at::Tensor x = at::empty(shape, at::kFloat);
  SeededRandom random(1);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data_ptr<float>()[i] = static_cast<float>(random.Unit());
  return x;
}

// Whether the architecture, run by itself, gives the module's outputs.
bool Agrees(const Architecture& architecture, const ParameterLayout& layout,
            const std::vector<float>& weights, const at::Tensor& x, const at::Tensor& expected) {
  // The module may hold float buffers or unused parameters that the chain does not know.
  absl::StatusOr<Learner> chain = Learner::FromArchitecture(architecture, layout);
  if (!chain.ok()) return false;
  std::copy(weights.begin(), weights.end(), chain->weights().begin());
  absl::StatusOr<std::vector<float>> outputs =
      chain->Predict({x.data_ptr<float>(), static_cast<size_t>(x.numel())}, kProbeExamples,
                     architecture.input_shape);
  if (!outputs.ok() || static_cast<int64_t>(outputs->size()) != expected.numel()) return false;
  const double scale = std::max(1.0, expected.abs().max().item<double>());
  for (size_t i = 0; i < outputs->size(); ++i) {
    const double difference = (*outputs)[i] - expected.data_ptr<float>()[i];
    if (!(std::fabs(difference) <= kProbeTolerance * scale)) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<InspectedModule> InspectModule(const std::filesystem::path& pt,
                                              std::span<const uint32_t> input_shape) {
  MUSTER_ASSIGN_OR_RETURN(torch::jit::Module module, LoadScriptedModule(pt));
  const std::string what =
      absl::StrCat(pt.string(), " on examples of shape ",
                   c10::str(at::ArrayRef<uint32_t>(input_shape.data(), input_shape.size())));
  return CatchTorch(what, [&]() -> absl::StatusOr<InspectedModule> {
    InspectedModule result;
    MUSTER_ASSIGN_OR_RETURN(std::vector<NamedTensor> tensors, FloatTensors(module));
    MUSTER_ASSIGN_OR_RETURN(result.layout, MakeLayout(tensors));
    result.weights = Flatten(tensors, result.layout.total_size());
    result.has_loss_method = module.find_method("loss").has_value();

    c10::InferenceMode no_gradients;
    module.eval();
    const at::Tensor x = ProbeExamples(input_shape);
    const at::Tensor outputs = module.forward({x}).toTensor().contiguous();
    if (outputs.dim() != 2 || outputs.size(0) != kProbeExamples ||
        outputs.scalar_type() != at::kFloat) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": forward gives ", c10::str(outputs.sizes()), " for a batch of ",
                       kProbeExamples, ", but it must give float32 [batch, outputs]"));
    }
    result.outputs = static_cast<uint32_t>(outputs.size(1));
    auto architecture = ExtractArchitecture(module, input_shape, result.outputs);
    if (architecture && Agrees(*architecture, result.layout, result.weights, x, outputs)) {
      result.architecture = std::move(architecture);
    }
    return result;
  });
}

}  // namespace muster
