// Loading a TorchScript file, and refusing those that cannot be trained.
#include <torch/csrc/jit/passes/inliner.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "models/torch/errors.h"
#include "models/torch/network.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using torch::jit::Block;
using torch::jit::Module;
using torch::jit::Node;

constexpr int kMaxCallDepth = 32;  // modules within modules

constexpr char kHowToScript[] =
    "save it with torch.jit.script(model).save(path), without trace, freeze or "
    "optimize_for_inference";

absl::Status Refuse(const std::filesystem::path& pt, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(pt.string(), ": ", why, "; ", kHowToScript));
}

template <typename Predicate>
bool AnyNode(const Block* block, const Predicate& predicate) {
  for (const Node* node : block->nodes()) {
    if (predicate(node)) return true;
    for (const Block* inner : node->blocks()) {
      if (AnyNode(inner, predicate)) return true;
    }
  }
  return false;
}

// Files carry the source of every operation. Scripted code points at the model's Python text,
// traced code at the Python stack at the time of tracing.
bool WasRecordedByTracer(const Node* node) {
  const auto origin = node->sourceRange().findSourceRangeThatGenerated();
  if (!origin || !origin->source()) return false;
  return origin->source()->text_str().str().find("torch/jit/_trace.py(") != std::string::npos;
}

// Of dropout and batch norm, the mode is an input: self.training when scripted, a constant when it
// was baked in. This catches tracing also in files without sources.
bool BakesMode(const Node* node) {
  static const std::map<c10::Symbol, size_t> kModeInput{
      {c10::Symbol::fromQualString("aten::dropout"), 2},
      {c10::Symbol::fromQualString("aten::feature_dropout"), 2},
      {c10::Symbol::fromQualString("aten::alpha_dropout"), 2},
      {c10::Symbol::fromQualString("aten::batch_norm"), 5}};
  const auto found = kModeInput.find(node->kind());
  if (found == kModeInput.end() || node->inputs().size() <= found->second) return false;
  return node->input(found->second)->node()->kind() == torch::jit::prim::Constant;
}

// PyTorch's own layers declare constants (in_features, kernel_size, p, ...), which scripting keeps
// and tracing drops.
bool LacksConstants(const Module& module) {
  static const std::set<std::string> kLayers{
      "Linear",          "Bilinear",        "Conv1d",      "Conv2d",      "Conv3d",
      "ConvTranspose1d", "ConvTranspose2d", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d",
      "GroupNorm",       "LayerNorm",       "Dropout",     "Dropout2d",   "Embedding",
      "MaxPool1d",       "MaxPool2d",       "AvgPool1d",   "AvgPool2d",   "ReLU",
      "Flatten"};
  const auto type = module.type();
  if (!type->name() || type->numConstants() > 0) return false;
  const std::string qualified = type->name()->qualifiedName();
  return qualified.find("torch.nn.modules.") != std::string::npos &&
         kLayers.count(type->name()->name()) > 0;
}

bool IsTraced(const Module& root) {
  for (const Module& module : root.modules()) {
    if (LacksConstants(module)) return true;
    for (const torch::jit::Method& method : module.get_methods()) {
      if (AnyNode(method.graph()->block(), WasRecordedByTracer)) return true;
    }
  }
  return false;
}

bool HasBakedMode(const Module& root) {
  for (const torch::jit::Method& method : root.get_methods()) {
    if (AnyNode(InlinedGraph(method)->block(), BakesMode)) return true;
  }
  return false;
}

absl::Status CheckTrainable(const std::filesystem::path& pt, const Module& module) {
  if (!module.find_method("forward")) return Refuse(pt, "the module has no forward method");
  const bool has_parameters = module.parameters().size() > 0;
  if (!has_parameters && !module.hasattr("training")) {
    return Refuse(pt,
                  "the module is frozen: its parameters became constants, nothing can be trained");
  }
  if (!module.hasattr("training")) {
    return Refuse(pt, "the module is frozen: it lost its training mode");
  }
  if (!has_parameters) return Refuse(pt, "the module has no parameters, so nothing can be trained");
  if (IsTraced(module)) {
    return Refuse(
        pt,
        "the module was traced: tracing bakes in the mode (dropout, batch norm) and every "
        "branch of its one example");
  }
  if (HasBakedMode(module)) {
    return Refuse(pt,
                  "dropout or batch norm runs in a fixed mode; pass training=self.training instead "
                  "of a constant");
  }
  return absl::OkStatus();
}

}  // namespace

std::shared_ptr<torch::jit::Graph> InlinedGraph(const torch::jit::Method& method) {
  auto is_call = [](const Node* node) {
    return node->kind() == torch::jit::prim::CallMethod ||
           node->kind() == torch::jit::prim::CallFunction;
  };
  // One pass inlines one level of calls when the graph executor does not optimize (see WarmUp).
  std::shared_ptr<torch::jit::Graph> graph = method.graph()->copy();
  for (int depth = 0; depth < kMaxCallDepth && AnyNode(graph->block(), is_call); ++depth) {
    torch::jit::Inline(*graph);
  }
  return graph;
}

absl::StatusOr<Module> LoadScriptedModule(const std::filesystem::path& pt) {
  if (!std::filesystem::exists(pt)) {
    return absl::NotFoundError(absl::StrCat("no such file: ", pt.string()));
  }
  return CatchTorch(absl::StrCat("cannot read ", pt.string(), " as TorchScript; ", kHowToScript),
                    [&]() -> absl::StatusOr<Module> {
                      Module module = torch::jit::load(pt.string(), at::kCPU);
                      MUSTER_RETURN_IF_ERROR(CheckTrainable(pt, module));
                      return module;
                    });
}

absl::StatusOr<std::vector<NamedTensor>> FloatTensors(const Module& module) {
  std::vector<NamedTensor> result;
  std::map<const void*, std::string> seen;
  auto add = [&](const std::string& name, const at::Tensor& tensor, bool trainable) {
    if (tensor.scalar_type() != at::kFloat) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", name, "' is ", c10::toString(tensor.scalar_type()),
                       ", but models travel as float32: call model.float() before scripting"));
    }
    if (tensor.numel() > 0) {
      auto [owner, fresh] = seen.try_emplace(tensor.storage().unsafeGetStorageImpl(), name);
      if (!fresh) {
        return absl::InvalidArgumentError(
            absl::StrCat("'", name, "' and '", owner->second,
                         "' share memory; tied parameters are not supported: untie them"));
      }
    }
    result.push_back({name, tensor, trainable});
    return absl::OkStatus();
  };
  for (const auto& parameter : module.named_parameters()) {
    MUSTER_RETURN_IF_ERROR(add(parameter.name, parameter.value, parameter.value.requires_grad()));
  }
  for (const auto& buffer : module.named_buffers()) {
    if (!buffer.value.is_floating_point()) continue;
    MUSTER_RETURN_IF_ERROR(add(buffer.name, buffer.value, false));
  }
  return result;
}

}  // namespace muster
