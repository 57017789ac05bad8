#include "models/torch/network.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "models/zoo/zoo.h"
#include "proto/core/status.h"

namespace muster {
namespace {

std::vector<int64_t> Sizes(std::span<const uint32_t> shape) { return {shape.begin(), shape.end()}; }

// Runs an Architecture: layers are applied in order, weights are looked up once.
class ArchitectureNetwork final : public Network {
 public:
  static absl::StatusOr<std::unique_ptr<Network>> Make(const Architecture& architecture,
                                                       const ParameterLayout& layout) {
    auto network = std::make_unique<ArchitectureNetwork>();
    FlatParameters parameters(layout);
    network->flat_ = parameters.flat;
    network->parameters_ = parameters.entries;
    for (const Layer& layer : architecture.layers) {
      MUSTER_ASSIGN_OR_RETURN(Step step, MakeStep(layer, layout, parameters));
      network->steps_.push_back(std::move(step));
    }
    network->PoolBeforeRelu();
    return network;
  }

  at::Tensor Forward(const at::Tensor& x) override {
    at::Tensor value = x;
    for (const Step& step : steps_) {
      value = std::visit([&](const auto& layer) { return Apply(layer, step, value); }, step.layer);
    }
    return value;
  }

 private:
  struct Step {
    Layer layer;
    at::Tensor weight, bias;  // undefined: none
  };

  static absl::StatusOr<at::Tensor> Find(const std::string& name, const ParameterLayout& layout,
                                         const FlatParameters& parameters) {
    for (size_t i = 0; i < layout.entries().size(); ++i) {
      if (layout.entries()[i].name == name) return parameters.entries[i];
    }
    return absl::InvalidArgumentError(
        absl::StrCat("the architecture names the parameter '", name, "', which the layout lacks"));
  }

  static absl::StatusOr<Step> MakeStep(const Layer& layer, const ParameterLayout& layout,
                                       const FlatParameters& parameters) {
    Step step{.layer = layer};
    std::string weight, bias;
    std::visit(
        [&](const auto& l) {
          if constexpr (requires { l.weight; }) {
            weight = l.weight;
            bias = l.bias;
          }
        },
        layer);
    if (!weight.empty()) {
      MUSTER_ASSIGN_OR_RETURN(step.weight, Find(weight, layout, parameters));
    }
    if (!bias.empty()) {
      MUSTER_ASSIGN_OR_RETURN(step.bias, Find(bias, layout, parameters));
    }
    return step;
  }

  // max(relu(x)) = relu(max(x)): the cheaper order, because the pool leaves less for the ReLU.
  void PoolBeforeRelu() {
    for (size_t i = 0; i + 1 < steps_.size(); ++i) {
      if (!std::holds_alternative<ReluLayer>(steps_[i].layer)) continue;
      const auto* pool1d = std::get_if<Pool1dLayer>(&steps_[i + 1].layer);
      const auto* pool2d = std::get_if<Pool2dLayer>(&steps_[i + 1].layer);
      if ((pool1d && pool1d->kind == PoolKind::kMax) ||
          (pool2d && pool2d->kind == PoolKind::kMax)) {
        std::swap(steps_[i], steps_[i + 1]);
      }
    }
  }

  static c10::optional<at::Tensor> Bias(const Step& step) {
    return step.bias.defined() ? c10::optional<at::Tensor>(step.bias) : c10::nullopt;
  }
  static at::Tensor Apply(const LinearLayer&, const Step& step, const at::Tensor& x) {
    return at::linear(x, step.weight, Bias(step));
  }
  static at::Tensor Apply(const Conv1dLayer& l, const Step& step, const at::Tensor& x) {
    return at::conv1d(x, step.weight, Bias(step), {l.stride}, {l.padding}, {1}, l.groups);
  }
  static at::Tensor Apply(const Conv2dLayer& l, const Step& step, const at::Tensor& x) {
    return at::conv2d(x, step.weight, Bias(step), {l.stride_h, l.stride_w},
                      {l.padding_h, l.padding_w}, {1, 1}, l.groups);
  }
  static at::Tensor Apply(const ReluLayer&, const Step&, const at::Tensor& x) {
    return at::relu(x);
  }
  static at::Tensor Apply(const Pool1dLayer& l, const Step&, const at::Tensor& x) {
    return l.kind == PoolKind::kMax ? at::max_pool1d(x, {l.kernel}, {l.stride})
                                    : at::avg_pool1d(x, {l.kernel}, {l.stride});
  }
  static at::Tensor Apply(const Pool2dLayer& l, const Step&, const at::Tensor& x) {
    return l.kind == PoolKind::kMax
               ? at::max_pool2d(x, {l.kernel_h, l.kernel_w}, {l.stride_h, l.stride_w})
               : at::avg_pool2d(x, {l.kernel_h, l.kernel_w}, {l.stride_h, l.stride_w});
  }
  static at::Tensor Apply(const GlobalAveragePoolLayer&, const Step&, const at::Tensor& x) {
    return x.dim() == 3 ? at::mean(x, {2}, true) : at::mean(x, {2, 3}, true);
  }
  static at::Tensor Apply(const FlattenLayer&, const Step&, const at::Tensor& x) {
    return at::flatten(x, 1);
  }

  std::vector<Step> steps_;
};

// Runs a scripted module whose parameters and float buffers were moved into the flat vector.
class ModuleNetwork final : public Network {
 public:
  explicit ModuleNetwork(torch::jit::Module module)
      : module_(std::move(module)), has_loss_(module_.find_method("loss").has_value()) {}

  absl::Status Bind(const ParameterLayout& layout) {
    MUSTER_ASSIGN_OR_RETURN(std::vector<NamedTensor> tensors, FloatTensors(module_));
    FlatParameters parameters(layout);
    if (tensors.size() != layout.entries().size()) {
      return absl::InvalidArgumentError(absl::StrCat("the module has ", tensors.size(),
                                                     " parameters and float buffers, the "
                                                     "manifest's layout ",
                                                     layout.entries().size(),
                                                     ": the package was made from another file"));
    }
    for (size_t i = 0; i < tensors.size(); ++i) {
      const LayoutEntry& entry = layout.entries()[i];
      if (tensors[i].name != entry.name ||
          tensors[i].tensor.sizes() != at::IntArrayRef(Sizes(entry.shape))) {
        return absl::InvalidArgumentError(
            absl::StrCat("entry ", i, " is '", tensors[i].name, "' with shape ",
                         c10::str(tensors[i].tensor.sizes()), " in the module and '", entry.name,
                         "' with another shape or name in the manifest: the package was made from "
                         "another file"));
      }
      parameters.entries[i].copy_(tensors[i].tensor.detach());
      tensors[i].tensor.set_data(parameters.entries[i]);
      parameters_.push_back(tensors[i].tensor);
    }
    flat_ = parameters.flat;
    return absl::OkStatus();
  }

  at::Tensor Forward(const at::Tensor& x) override { return module_.forward({x}).toTensor(); }
  bool HasLoss() const override { return has_loss_; }
  at::Tensor Loss(const at::Tensor& x, const at::Tensor& y) override {
    return module_.run_method("loss", x, y).toTensor();
  }
  void SetTraining(bool training) override { module_.train(training); }

 private:
  torch::jit::Module module_;
  bool has_loss_;
};

}  // namespace

FlatParameters::FlatParameters(const ParameterLayout& layout)
    : flat(at::zeros({static_cast<int64_t>(layout.total_size())}, at::kFloat)) {
  for (const LayoutEntry& entry : layout.entries()) {
    // The deleter holds the vector: an entry may outlive this struct.
    entries.push_back(at::from_blob(
        flat.data_ptr<float>() + entry.offset, Sizes(entry.shape), [flat = flat](void*) {},
        at::kFloat));
  }
}

at::Tensor Network::Loss(const at::Tensor&, const at::Tensor&) {
  throw std::logic_error("this network has no loss method");
}

absl::StatusOr<std::unique_ptr<Network>> MakeArchitectureNetwork(const Architecture& architecture,
                                                                 const ParameterLayout& layout) {
  MUSTER_RETURN_IF_ERROR(InferShapes(architecture).status());
  MUSTER_ASSIGN_OR_RETURN(const ParameterLayout expected, LayoutOf(architecture));
  std::map<std::string, std::vector<uint32_t>> shapes;
  for (const LayoutEntry& entry : layout.entries()) shapes[entry.name] = entry.shape;
  bool same = expected.entries().size() == layout.entries().size();
  for (const LayoutEntry& entry : expected.entries()) {
    same = same && shapes.count(entry.name) > 0 && shapes[entry.name] == entry.shape;
  }
  if (!same) {
    return absl::InvalidArgumentError(
        "the manifest's layout is not that of its architecture: names or shapes differ");
  }
  return ArchitectureNetwork::Make(architecture, layout);
}

absl::StatusOr<std::unique_ptr<Network>> MakeModuleNetwork(const std::filesystem::path& pt,
                                                           const ParameterLayout& layout) {
  MUSTER_ASSIGN_OR_RETURN(torch::jit::Module module, LoadScriptedModule(pt));
  auto network = std::make_unique<ModuleNetwork>(std::move(module));
  MUSTER_RETURN_IF_ERROR(network->Bind(layout));
  return network;
}

}  // namespace muster
