// A scripted module's forward as a chain of known layers. It walks from the output back to the
// input; whatever it does not know ends the walk with "no architecture".
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/peephole.h>

#include <algorithm>
#include <map>
#include <string>

#include "models/torch/network.h"
#include "models/zoo/zoo.h"

namespace muster {
namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

constexpr size_t kMaxChain = 1000;  // operations

// "net.0.weight" for a chain of attribute reads that starts at `self`.
std::optional<std::string> ParameterName(const Value* value, const Value* self) {
  std::string name;
  while (value != self) {
    const Node* node = value->node();
    if (node->kind() != torch::jit::prim::GetAttr) return std::nullopt;
    const std::string& part = node->s(c10::Symbol::attr("name"));
    name = name.empty() ? part : part + "." + name;
    value = node->input(0);
  }
  return name;
}

// Two integers from a constant list, or from a list that is built of constants; one stands for
// both.
std::optional<std::vector<int64_t>> Ints(const Value* value) {
  if (auto constant = torch::jit::toIValue(value)) {
    if (constant->isIntList()) return constant->toIntVector();
    if (constant->isInt()) return std::vector<int64_t>{constant->toInt()};
    return std::nullopt;
  }
  if (value->node()->kind() != torch::jit::prim::ListConstruct) return std::nullopt;
  std::vector<int64_t> result;
  for (const Value* element : value->node()->inputs()) {
    auto constant = torch::jit::toIValue(element);
    if (!constant || !constant->isInt()) return std::nullopt;
    result.push_back(constant->toInt());
  }
  return result;
}

std::optional<int64_t> Int(const Value* value) {
  auto constant = torch::jit::toIValue(value);
  return constant && constant->isInt() ? std::optional(constant->toInt()) : std::nullopt;
}

bool IsFalse(const Value* value) {
  auto constant = torch::jit::toIValue(value);
  return constant && constant->isBool() && !constant->toBool();
}

bool IsNone(const Value* value) {
  auto constant = torch::jit::toIValue(value);
  return constant && constant->isNone();
}

bool AllEqual(const std::vector<int64_t>& values, int64_t expected) {
  return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == expected; });
}

class Extractor {
 public:
  Extractor(const torch::jit::Module& module, const Graph& graph) : self_(graph.inputs()[0]) {
    for (const auto& parameter : module.named_parameters()) {
      shapes_[parameter.name] = parameter.value.sizes().vec();
    }
  }

  // Layers from `input` to `output`, or nothing.
  std::optional<std::vector<Layer>> Walk(const Value* output, const Value* input) {
    std::vector<Layer> reversed;
    const Value* value = output;
    for (size_t steps = 0; value != input; ++steps) {
      const Node* node = value->node();
      if (steps == kMaxChain || node->inputs().empty() || node->outputs().size() != 1) {
        return std::nullopt;
      }
      if (!IsIdentity(*node)) {
        std::optional<Layer> layer = ToLayer(*node);
        if (!layer) return std::nullopt;
        reversed.push_back(*std::move(layer));
      }
      value = node->input(0);
    }
    return std::vector<Layer>(reversed.rbegin(), reversed.rend());
  }

 private:
  // In evaluation mode.
  static bool IsIdentity(const Node& node) {
    const std::string kind = node.kind().toUnqualString();
    return kind == "dropout" || kind == "dropout_" || kind == "feature_dropout" ||
           kind == "contiguous" || kind == "unchecked_cast" || kind == "detach";
  }

  std::optional<Layer> ToLayer(const Node& node) const {
    const std::string kind = node.kind().toQualString();
    if (kind == "aten::linear") return Linear(node);
    if (kind == "aten::conv1d") return Conv1d(node);
    if (kind == "aten::conv2d") return Conv2d(node);
    if (kind == "aten::relu" || kind == "aten::relu_") return ReluLayer();
    if (kind == "aten::max_pool1d" || kind == "aten::max_pool2d") return MaxPool(node);
    if (kind == "aten::avg_pool1d" || kind == "aten::avg_pool2d") return AveragePool(node);
    if (kind == "aten::adaptive_avg_pool1d" || kind == "aten::adaptive_avg_pool2d") {
      // The size may come through PyTorch's list helper; that it is 1 shows in the outputs.
      auto size = Ints(node.input(1));
      if (size && !AllEqual(*size, 1)) return std::nullopt;
      return GlobalAveragePoolLayer();
    }
    if (kind == "aten::flatten") {
      if (Int(node.input(1)) != 1 || Int(node.input(2)) != -1) return std::nullopt;
      return FlattenLayer();
    }
    if (kind == "aten::view" || kind == "aten::reshape") {
      // x.view(n, -1) and its kin: two dimensions, the first of which is the batch.
      const Node* sizes = node.input(1)->node();
      auto constant = Ints(node.input(1));
      const size_t rank = constant ? constant->size() : sizes->inputs().size();
      if (!constant && sizes->kind() != torch::jit::prim::ListConstruct) return std::nullopt;
      if (rank != 2) return std::nullopt;
      return FlattenLayer();
    }
    return std::nullopt;
  }

  struct Parameters {
    std::string weight, bias;
    std::vector<int64_t> shape;
  };
  std::optional<Parameters> ReadParameters(const Node& node) const {
    Parameters result;
    auto weight = ParameterName(node.input(1), self_);
    if (!weight || !shapes_.count(*weight)) return std::nullopt;
    result.weight = *weight;
    result.shape = shapes_.at(*weight);
    if (!IsNone(node.input(2))) {
      const Value* value = node.input(2);
      if (value->node()->kind() == torch::jit::prim::unchecked_cast)
        value = value->node()->input(0);
      auto bias = ParameterName(value, self_);
      if (!bias) return std::nullopt;
      // A layer without bias reads an attribute that is None.
      if (shapes_.count(*bias)) result.bias = *bias;
    }
    return result;
  }

  std::optional<Layer> Linear(const Node& node) const {
    auto parameters = ReadParameters(node);
    if (!parameters || parameters->shape.size() != 2) return std::nullopt;
    return LinearLayer{.in = static_cast<uint32_t>(parameters->shape[1]),
                       .out = static_cast<uint32_t>(parameters->shape[0]),
                       .weight = parameters->weight,
                       .bias = parameters->bias};
  }

  struct Window {
    std::vector<int64_t> stride, padding;
    uint32_t groups;
  };
  static std::optional<Window> ReadWindow(const Node& node, size_t rank) {
    if (node.inputs().size() < 7) return std::nullopt;
    const auto steps = Ints(node.input(3)), pads = Ints(node.input(4));
    const auto dilation = Ints(node.input(5));
    const auto groups = Int(node.input(6));
    if (!steps || !pads || !dilation || !groups || !AllEqual(*dilation, 1)) return std::nullopt;
    Window window{.stride = PerDimension(*steps, rank, {}),
                  .padding = PerDimension(*pads, rank, {}),
                  .groups = static_cast<uint32_t>(*groups)};
    if (window.stride.empty() || window.padding.empty()) return std::nullopt;
    return window;
  }

  std::optional<Layer> Conv1d(const Node& node) const {
    auto parameters = ReadParameters(node);
    auto window = ReadWindow(node, 1);
    if (!parameters || !window || parameters->shape.size() != 3) return std::nullopt;
    return Conv1dLayer{.in = static_cast<uint32_t>(parameters->shape[1]) * window->groups,
                       .out = static_cast<uint32_t>(parameters->shape[0]),
                       .kernel = static_cast<uint32_t>(parameters->shape[2]),
                       .stride = static_cast<uint32_t>(window->stride[0]),
                       .padding = static_cast<uint32_t>(window->padding[0]),
                       .groups = window->groups,
                       .weight = parameters->weight,
                       .bias = parameters->bias};
  }

  std::optional<Layer> Conv2d(const Node& node) const {
    auto parameters = ReadParameters(node);
    auto window = ReadWindow(node, 2);
    if (!parameters || !window || parameters->shape.size() != 4) return std::nullopt;
    return Conv2dLayer{.in = static_cast<uint32_t>(parameters->shape[1]) * window->groups,
                       .out = static_cast<uint32_t>(parameters->shape[0]),
                       .kernel_h = static_cast<uint32_t>(parameters->shape[2]),
                       .kernel_w = static_cast<uint32_t>(parameters->shape[3]),
                       .stride_h = static_cast<uint32_t>(window->stride[0]),
                       .stride_w = static_cast<uint32_t>(window->stride[1]),
                       .padding_h = static_cast<uint32_t>(window->padding[0]),
                       .padding_w = static_cast<uint32_t>(window->padding[1]),
                       .groups = window->groups,
                       .weight = parameters->weight,
                       .bias = parameters->bias};
  }

  // One number stands for every dimension; none for `absent`. Nothing if it is neither.
  static std::vector<int64_t> PerDimension(const std::vector<int64_t>& given, size_t rank,
                                           const std::vector<int64_t>& absent) {
    if (given.empty()) return absent;
    if (given.size() == 1) return std::vector<int64_t>(rank, given.front());
    return given.size() == rank ? given : std::vector<int64_t>();
  }

  static std::optional<Layer> Pool(const Node& node, PoolKind kind, size_t rank) {
    const auto sizes = Ints(node.input(1)), steps = Ints(node.input(2));
    const auto padding = Ints(node.input(3));
    if (!sizes || !steps || !padding || !AllEqual(*padding, 0)) return std::nullopt;
    const std::vector<int64_t> kernel = PerDimension(*sizes, rank, {});
    const std::vector<int64_t> stride = PerDimension(*steps, rank, kernel);
    if (kernel.empty() || stride.empty()) return std::nullopt;
    auto at = [](const std::vector<int64_t>& v, size_t i) { return static_cast<uint32_t>(v[i]); };
    if (rank == 1) return Pool1dLayer{kind, at(kernel, 0), at(stride, 0)};
    return Pool2dLayer{kind, at(kernel, 0), at(kernel, 1), at(stride, 0), at(stride, 1)};
  }

  static size_t PoolRank(const Node& node) {
    return node.kind().toUnqualString()[std::string_view("max_pool").size()] == '1' ? 1 : 2;
  }

  static std::optional<Layer> MaxPool(const Node& node) {
    auto dilation = Ints(node.input(4));
    if (!dilation || !AllEqual(*dilation, 1) || !IsFalse(node.input(5))) return std::nullopt;
    return Pool(node, PoolKind::kMax, PoolRank(node));
  }

  static std::optional<Layer> AveragePool(const Node& node) {
    if (!IsFalse(node.input(4))) return std::nullopt;  // ceil_mode
    if (node.inputs().size() > 6 && !IsNone(node.input(6)))
      return std::nullopt;  // divisor_override
    return Pool(node, PoolKind::kAverage, PoolRank(node));
  }

  const Value* self_;
  std::map<std::string, std::vector<int64_t>> shapes_;
};

// self.training := false, so that constant propagation picks the evaluation branches.
void FixEvaluationMode(Graph& graph, torch::jit::Block* block) {
  for (auto it = block->nodes().begin(); it != block->nodes().end(); ++it) {
    for (torch::jit::Block* inner : it->blocks()) FixEvaluationMode(graph, inner);
    if (it->kind() != torch::jit::prim::GetAttr || it->s(c10::Symbol::attr("name")) != "training") {
      continue;
    }
    torch::jit::WithInsertPoint here(*it);
    it->output()->replaceAllUsesWith(graph.insertConstant(false));
  }
}

}  // namespace

std::optional<Architecture> ExtractArchitecture(const torch::jit::Module& module,
                                                std::span<const uint32_t> input_shape,
                                                uint32_t outputs) {
  std::shared_ptr<Graph> graph = InlinedGraph(module.get_method("forward"));
  FixEvaluationMode(*graph, graph->block());
  torch::jit::PeepholeOptimize(graph);  // settles "is None" of values that cannot be None
  torch::jit::ConstantPropagation(graph);
  torch::jit::EliminateDeadCode(graph);
  if (graph->inputs().size() != 2 || graph->outputs().size() != 1) return std::nullopt;
  auto layers = Extractor(module, *graph).Walk(graph->outputs()[0], graph->inputs()[1]);
  if (!layers) return std::nullopt;
  Architecture architecture;
  architecture.name = module.type()->name() ? module.type()->name()->name() : "module";
  architecture.input_shape.assign(input_shape.begin(), input_shape.end());
  architecture.outputs = outputs;
  architecture.layers = *std::move(layers);
  if (!InferShapes(architecture).ok()) return std::nullopt;
  return architecture;
}

}  // namespace muster
