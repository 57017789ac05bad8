// The zoo's models, each a function from options to layers.
#include <array>
#include <utility>

#include "models/zoo/layers.h"
#include "models/zoo/zoo.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/core/suggest.h"

namespace muster {
namespace {

using zoo_internal::FormatShape;

// Appends layers and keeps track of what PyTorch would call their parameters, and of the shape that
// the next layer gets.
class Builder {
 public:
  Builder(std::string_view name, std::vector<uint32_t> input_shape, uint32_t outputs) {
    architecture_.name = std::string(name);
    architecture_.input_shape = std::move(input_shape);
    architecture_.outputs = outputs;
  }

  absl::Status Linear(uint32_t out) {
    MUSTER_ASSIGN_OR_RETURN(std::vector<uint32_t> shape, OutputShape());
    LinearLayer layer{.in = shape.front(), .out = out};
    AppendWithParameters(std::move(layer));
    return absl::OkStatus();
  }

  absl::Status Conv1d(uint32_t out, uint32_t kernel, uint32_t padding) {
    MUSTER_ASSIGN_OR_RETURN(std::vector<uint32_t> shape, OutputShape());
    Conv1dLayer layer{.in = shape.front(), .out = out, .kernel = kernel, .padding = padding};
    AppendWithParameters(std::move(layer));
    return absl::OkStatus();
  }

  absl::Status Conv2d(uint32_t out, uint32_t kernel, uint32_t padding) {
    MUSTER_ASSIGN_OR_RETURN(std::vector<uint32_t> shape, OutputShape());
    Conv2dLayer layer{.in = shape.front(),
                      .out = out,
                      .kernel_h = kernel,
                      .kernel_w = kernel,
                      .padding_h = padding,
                      .padding_w = padding};
    AppendWithParameters(std::move(layer));
    return absl::OkStatus();
  }

  void Relu() { architecture_.layers.emplace_back(ReluLayer{}); }
  void Flatten() { architecture_.layers.emplace_back(FlattenLayer{}); }
  void HalvePool1d() {
    architecture_.layers.emplace_back(
        Pool1dLayer{.kind = PoolKind::kMax, .kernel = 2, .stride = 2});
  }
  void HalvePool2d() {
    architecture_.layers.emplace_back(Pool2dLayer{
        .kind = PoolKind::kMax, .kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2});
  }

  absl::StatusOr<Architecture> Finish() && {
    MUSTER_RETURN_IF_ERROR(InferShapes(architecture_).status());
    return std::move(architecture_);
  }

 private:
  absl::StatusOr<std::vector<uint32_t>> OutputShape() const {
    if (architecture_.layers.empty()) return architecture_.input_shape;
    MUSTER_ASSIGN_OR_RETURN(auto shapes, zoo_internal::InferLayers(architecture_));
    return shapes.back();
  }

  template <typename LayerType>
  void AppendWithParameters(LayerType layer) {
    const size_t index = architecture_.layers.size();
    layer.weight = StrCat(index, ".weight");
    layer.bias = StrCat(index, ".bias");
    architecture_.layers.emplace_back(std::move(layer));
  }

  Architecture architecture_;
};

absl::StatusOr<Architecture> MakeMlp(Builder builder, const ZooOptions& options) {
  if (options.input_shape.size() > 1) builder.Flatten();
  for (uint32_t width : options.hidden) {
    MUSTER_RETURN_IF_ERROR(builder.Linear(width));
    builder.Relu();
  }
  MUSTER_RETURN_IF_ERROR(builder.Linear(options.outputs));
  return std::move(builder).Finish();
}

absl::StatusOr<Architecture> MakeLenet5(Builder builder, const ZooOptions& options) {
  // The paper's inputs are 32x32; smaller images are padded by two on each side, as is usual for
  // MNIST's 28x28, so that both give the paper's 400 features before the first linear layer.
  const bool small = options.input_shape[1] < 32 || options.input_shape[2] < 32;
  MUSTER_RETURN_IF_ERROR(builder.Conv2d(6, 5, small ? 2 : 0));
  builder.Relu();
  builder.HalvePool2d();
  MUSTER_RETURN_IF_ERROR(builder.Conv2d(16, 5, 0));
  builder.Relu();
  builder.HalvePool2d();
  builder.Flatten();
  for (uint32_t width : {120u, 84u}) {
    MUSTER_RETURN_IF_ERROR(builder.Linear(width));
    builder.Relu();
  }
  MUSTER_RETURN_IF_ERROR(builder.Linear(options.outputs));
  return std::move(builder).Finish();
}

absl::StatusOr<Architecture> MakeMcmahanCnn(Builder builder, const ZooOptions& options) {
  for (uint32_t channels : {32u, 64u}) {
    MUSTER_RETURN_IF_ERROR(builder.Conv2d(channels, 5, 2));
    builder.Relu();
    builder.HalvePool2d();
  }
  builder.Flatten();
  MUSTER_RETURN_IF_ERROR(builder.Linear(512));
  builder.Relu();
  MUSTER_RETURN_IF_ERROR(builder.Linear(options.outputs));
  return std::move(builder).Finish();
}

absl::StatusOr<Architecture> MakeHarCnn1d(Builder builder, const ZooOptions& options) {
  for (uint32_t channels : {32u, 64u}) {
    MUSTER_RETURN_IF_ERROR(builder.Conv1d(channels, 5, 2));
    builder.Relu();
    builder.HalvePool1d();
  }
  builder.Flatten();
  MUSTER_RETURN_IF_ERROR(builder.Linear(64));
  builder.Relu();
  MUSTER_RETURN_IF_ERROR(builder.Linear(options.outputs));
  return std::move(builder).Finish();
}

absl::StatusOr<Architecture> MakeLogreg(Builder builder, const ZooOptions& options) {
  if (options.input_shape.size() > 1) builder.Flatten();
  MUSTER_RETURN_IF_ERROR(builder.Linear(options.outputs));
  return std::move(builder).Finish();
}

struct ZooModel {
  std::string_view name;
  std::vector<uint32_t> input_shape;
  uint32_t outputs;
  std::vector<uint32_t> hidden;  // empty: the option does not apply
  size_t input_rank;             // 0: any
  absl::StatusOr<Architecture> (*make)(Builder, const ZooOptions&);
};

constexpr std::array<std::string_view, 5> kNames = {"mlp", "lenet5", "mcmahan_cnn", "har_cnn1d",
                                                    "logreg"};

const std::array<ZooModel, 5>& Models() {
  static const auto* models = new std::array<ZooModel, 5>{
      ZooModel{kNames[0], {1, 28, 28}, 10, {200, 200}, 0, MakeMlp},
      ZooModel{kNames[1], {1, 28, 28}, 10, {}, 3, MakeLenet5},
      ZooModel{kNames[2], {1, 28, 28}, 10, {}, 3, MakeMcmahanCnn},
      ZooModel{kNames[3], {9, 128}, 6, {}, 2, MakeHarCnn1d},
      ZooModel{kNames[4], {1, 28, 28}, 10, {}, 0, MakeLogreg},
  };
  return *models;
}

absl::Status CheckOptions(const ZooModel& model, const ZooOptions& options) {
  if (!options.hidden.empty() && model.hidden.empty()) {
    return absl::InvalidArgumentError(
        StrCat(model.name, " has fixed hidden layers: remove `hidden`, or use mlp"));
  }
  if (options.hidden.size() > kMaxHiddenLayers) {
    return absl::InvalidArgumentError(
        StrCat("`hidden` lists ", options.hidden.size(), " layers; at most ", kMaxHiddenLayers));
  }
  for (uint32_t width : options.hidden) {
    if (width == 0 || width > kMaxLayerWidth) {
      return absl::InvalidArgumentError(
          StrCat("`hidden` has a layer of ", width, " units: use 1 to ", kMaxLayerWidth));
    }
  }
  if (options.outputs > kMaxLayerWidth) {
    return absl::InvalidArgumentError(
        StrCat("`outputs` is ", options.outputs, ": at most ", kMaxLayerWidth));
  }
  const size_t rank = options.input_shape.size();
  if (rank != 0 && model.input_rank != 0 && rank != model.input_rank) {
    return absl::InvalidArgumentError(
        StrCat(model.name, " takes inputs like ", FormatShape(model.input_shape), ", not ",
               FormatShape(options.input_shape), ": give ", model.input_rank,
               " dimensions, channels first, without the batch"));
  }
  return absl::OkStatus();
}

}  // namespace

std::span<const std::string_view> ZooModelNames() { return kNames; }

absl::StatusOr<Architecture> MakeZooArchitecture(std::string_view name, const ZooOptions& options) {
  for (const ZooModel& model : Models()) {
    if (model.name != name) continue;
    MUSTER_RETURN_IF_ERROR(CheckOptions(model, options));
    ZooOptions filled = options;
    if (filled.input_shape.empty()) filled.input_shape = model.input_shape;
    if (filled.outputs == 0) filled.outputs = model.outputs;
    if (filled.hidden.empty()) filled.hidden = model.hidden;
    auto architecture = model.make(Builder(model.name, filled.input_shape, filled.outputs), filled);
    if (!architecture.ok()) {
      return Annotate(architecture.status(),
                      StrCat("zoo model ", name, " with input ", FormatShape(filled.input_shape)));
    }
    return architecture;
  }
  return absl::NotFoundError(StrCat("there is no zoo model \"", name.substr(0, 64), "\"",
                                    DidYouMean(name.substr(0, 64), kNames), ": choose one of ",
                                    StrJoin(kNames, ", ")));
}

}  // namespace muster
