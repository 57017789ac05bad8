#include <string>
#include <unordered_map>
#include <variant>

#include "proto/codec/model_codec.h"
#include "proto/codec/model_fields.h"
#include "proto/core/limits.h"

namespace muster {
namespace wire {
namespace {

constexpr size_t kMaxArchitectureName = 256;  // TorchScript names modules by their Python path

constexpr EnumPair<v1::PoolKind, PoolKind> kPoolKinds[] = {
    {v1::POOL_KIND_MAX, PoolKind::kMax},
    {v1::POOL_KIND_AVERAGE, PoolKind::kAverage},
};

absl::Status CheckNames(const Field& at, const std::string& weight, const std::string& bias) {
  if (weight.empty()) return Refuse(at["weight"], "is not set");
  MUSTER_RETURN_IF_ERROR(CheckWord(at["weight"], weight, limits::kMaxParameterNameLength));
  return CheckWord(at["bias"], bias, limits::kMaxParameterNameLength);
}

absl::Status CheckWidths(const Field& at, uint32_t in, uint32_t out) {
  MUSTER_RETURN_IF_ERROR(CheckRange(at["in"], in, 1, limits::kMaxDimension));
  return CheckRange(at["out"], out, 1, limits::kMaxDimension);
}

absl::Status CheckGroups(const Field& at, uint32_t in, uint32_t out, uint32_t groups) {
  MUSTER_RETURN_IF_ERROR(CheckRange(at["groups"], groups, 1, limits::kMaxDimension));
  if (in % groups == 0 && out % groups == 0) return absl::OkStatus();
  return Refuse(at["groups"],
                StrCat(groups, " does not divide ", in, " inputs and ", out, " outputs"));
}

absl::Status CheckStep(const Field& at, std::string_view name, uint32_t value) {
  return CheckRange(at[name], value, 1, limits::kMaxKernel);
}

absl::StatusOr<Layer> Decode(const Field& at, const v1::LinearLayer& wire) {
  MUSTER_RETURN_IF_ERROR(CheckWidths(at, wire.in(), wire.out()));
  MUSTER_RETURN_IF_ERROR(CheckNames(at, wire.weight(), wire.bias()));
  return LinearLayer{wire.in(), wire.out(), wire.weight(), wire.bias()};
}

absl::StatusOr<Layer> Decode(const Field& at, const v1::Conv1dLayer& wire) {
  MUSTER_RETURN_IF_ERROR(CheckWidths(at, wire.in(), wire.out()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "kernel", wire.kernel()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "stride", wire.stride()));
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["padding"], wire.padding(), limits::kMaxKernel));
  MUSTER_RETURN_IF_ERROR(CheckGroups(at, wire.in(), wire.out(), wire.groups()));
  MUSTER_RETURN_IF_ERROR(CheckNames(at, wire.weight(), wire.bias()));
  return Conv1dLayer{.in = wire.in(),
                     .out = wire.out(),
                     .kernel = wire.kernel(),
                     .stride = wire.stride(),
                     .padding = wire.padding(),
                     .groups = wire.groups(),
                     .weight = wire.weight(),
                     .bias = wire.bias()};
}

absl::StatusOr<Layer> Decode(const Field& at, const v1::Conv2dLayer& wire) {
  MUSTER_RETURN_IF_ERROR(CheckWidths(at, wire.in(), wire.out()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "kernel_h", wire.kernel_h()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "kernel_w", wire.kernel_w()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "stride_h", wire.stride_h()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "stride_w", wire.stride_w()));
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["padding_h"], wire.padding_h(), limits::kMaxKernel));
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["padding_w"], wire.padding_w(), limits::kMaxKernel));
  MUSTER_RETURN_IF_ERROR(CheckGroups(at, wire.in(), wire.out(), wire.groups()));
  MUSTER_RETURN_IF_ERROR(CheckNames(at, wire.weight(), wire.bias()));
  return Conv2dLayer{.in = wire.in(),
                     .out = wire.out(),
                     .kernel_h = wire.kernel_h(),
                     .kernel_w = wire.kernel_w(),
                     .stride_h = wire.stride_h(),
                     .stride_w = wire.stride_w(),
                     .padding_h = wire.padding_h(),
                     .padding_w = wire.padding_w(),
                     .groups = wire.groups(),
                     .weight = wire.weight(),
                     .bias = wire.bias()};
}

absl::StatusOr<Layer> Decode(const Field& at, const v1::Pool1dLayer& wire) {
  MUSTER_ASSIGN_OR_RETURN(PoolKind kind, DecodeEnum(at["kind"], kPoolKinds, wire.kind()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "kernel", wire.kernel()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "stride", wire.stride()));
  return Pool1dLayer{kind, wire.kernel(), wire.stride()};
}

absl::StatusOr<Layer> Decode(const Field& at, const v1::Pool2dLayer& wire) {
  MUSTER_ASSIGN_OR_RETURN(PoolKind kind, DecodeEnum(at["kind"], kPoolKinds, wire.kind()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "kernel_h", wire.kernel_h()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "kernel_w", wire.kernel_w()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "stride_h", wire.stride_h()));
  MUSTER_RETURN_IF_ERROR(CheckStep(at, "stride_w", wire.stride_w()));
  return Pool2dLayer{kind, wire.kernel_h(), wire.kernel_w(), wire.stride_h(), wire.stride_w()};
}

absl::StatusOr<Layer> Decode(const Field& at, const v1::Layer& wire) {
  switch (wire.kind_case()) {
    case v1::Layer::kLinear:
      return Decode(at["linear"], wire.linear());
    case v1::Layer::kConv1D:
      return Decode(at["conv1d"], wire.conv1d());
    case v1::Layer::kConv2D:
      return Decode(at["conv2d"], wire.conv2d());
    case v1::Layer::kRelu:
      return Layer(ReluLayer{});
    case v1::Layer::kPool1D:
      return Decode(at["pool1d"], wire.pool1d());
    case v1::Layer::kPool2D:
      return Decode(at["pool2d"], wire.pool2d());
    case v1::Layer::kGlobalAveragePool:
      return Layer(GlobalAveragePoolLayer{});
    case v1::Layer::kFlatten:
      return Layer(FlattenLayer{});
    case v1::Layer::KIND_NOT_SET:
      break;
  }
  return Refuse(at, "is of no known kind");
}

class LayerEncoder {
 public:
  explicit LayerEncoder(v1::Layer* out) : out_(*out) {}

  void operator()(const LinearLayer& layer) const {
    v1::LinearLayer& wire = *out_.mutable_linear();
    wire.set_in(layer.in);
    wire.set_out(layer.out);
    wire.set_weight(layer.weight);
    wire.set_bias(layer.bias);
  }
  void operator()(const Conv1dLayer& layer) const {
    v1::Conv1dLayer& wire = *out_.mutable_conv1d();
    wire.set_in(layer.in);
    wire.set_out(layer.out);
    wire.set_kernel(layer.kernel);
    wire.set_stride(layer.stride);
    wire.set_padding(layer.padding);
    wire.set_groups(layer.groups);
    wire.set_weight(layer.weight);
    wire.set_bias(layer.bias);
  }
  void operator()(const Conv2dLayer& layer) const {
    v1::Conv2dLayer& wire = *out_.mutable_conv2d();
    wire.set_in(layer.in);
    wire.set_out(layer.out);
    wire.set_kernel_h(layer.kernel_h);
    wire.set_kernel_w(layer.kernel_w);
    wire.set_stride_h(layer.stride_h);
    wire.set_stride_w(layer.stride_w);
    wire.set_padding_h(layer.padding_h);
    wire.set_padding_w(layer.padding_w);
    wire.set_groups(layer.groups);
    wire.set_weight(layer.weight);
    wire.set_bias(layer.bias);
  }
  void operator()(const Pool1dLayer& layer) const {
    v1::Pool1dLayer& wire = *out_.mutable_pool1d();
    wire.set_kind(EncodeEnum(kPoolKinds, layer.kind));
    wire.set_kernel(layer.kernel);
    wire.set_stride(layer.stride);
  }
  void operator()(const Pool2dLayer& layer) const {
    v1::Pool2dLayer& wire = *out_.mutable_pool2d();
    wire.set_kind(EncodeEnum(kPoolKinds, layer.kind));
    wire.set_kernel_h(layer.kernel_h);
    wire.set_kernel_w(layer.kernel_w);
    wire.set_stride_h(layer.stride_h);
    wire.set_stride_w(layer.stride_w);
  }
  void operator()(const ReluLayer&) const { out_.mutable_relu(); }
  void operator()(const GlobalAveragePoolLayer&) const { out_.mutable_global_average_pool(); }
  void operator()(const FlattenLayer&) const { out_.mutable_flatten(); }

 private:
  v1::Layer& out_;
};

using EntrySizes = std::unordered_map<std::string_view, uint64_t>;

absl::Status CheckEntry(const Field& at, const EntrySizes& sizes, const std::string& name,
                        unsigned __int128 expected) {
  const auto found = sizes.find(name);
  if (found == sizes.end()) {
    return Refuse(at, StrCat("'", name, "' is no entry of the layout"));
  }
  if (found->second == expected) return absl::OkStatus();
  return Refuse(at, StrCat("'", name, "' has ", found->second,
                           " elements in the layout, which is not what the layer's sizes give"));
}

template <typename WithParameters>
absl::Status CheckLayer(const Field& at, const EntrySizes& sizes, const WithParameters& layer,
                        unsigned __int128 weight_size) {
  MUSTER_RETURN_IF_ERROR(CheckEntry(at["weight"], sizes, layer.weight, weight_size));
  if (layer.bias.empty()) return absl::OkStatus();
  return CheckEntry(at["bias"], sizes, layer.bias, layer.out);
}

}  // namespace

absl::StatusOr<Architecture> Decode(const Field& at, const v1::Architecture& wire) {
  Architecture decoded;
  if (wire.name().empty()) return Refuse(at["name"], "is not set");
  MUSTER_RETURN_IF_ERROR(CheckWord(at["name"], wire.name(), kMaxArchitectureName));
  decoded.name = wire.name();
  MUSTER_RETURN_IF_ERROR(
      CheckCount(at["input_shape"], wire.input_shape_size(), limits::kMaxTensorRank));
  if (wire.input_shape().empty()) return Refuse(at["input_shape"], "is not set");
  uint64_t example_size = 1;
  for (int i = 0; i < wire.input_shape_size(); ++i) {
    const Field side = at.At("input_shape", i);
    MUSTER_RETURN_IF_ERROR(CheckRange(side, wire.input_shape(i), 1, limits::kMaxDimension));
    example_size *= wire.input_shape(i);  // at most 2^26 * 2^24
    MUSTER_RETURN_IF_ERROR(
        CheckAtMost(at["input_shape"], example_size, limits::kMaxExampleSize, "elements"));
    decoded.input_shape.push_back(wire.input_shape(i));
  }
  MUSTER_RETURN_IF_ERROR(CheckRange(at["outputs"], wire.outputs(), 1, limits::kMaxDimension));
  decoded.outputs = wire.outputs();
  MUSTER_RETURN_IF_ERROR(CheckCount(at["layers"], wire.layers_size(), limits::kMaxLayers));
  for (int i = 0; i < wire.layers_size(); ++i) {
    MUSTER_ASSIGN_OR_RETURN(Layer layer, Decode(at.At("layers", i), wire.layers(i)));
    decoded.layers.push_back(std::move(layer));
  }
  return decoded;
}

absl::Status CheckParameters(const Field& at, const Architecture& architecture,
                             const ParameterLayout& layout) {
  if (architecture.layers.empty()) return absl::OkStatus();
  EntrySizes sizes;
  for (const LayoutEntry& entry : layout.entries()) sizes.emplace(entry.name, entry.size());
  for (size_t i = 0; i < architecture.layers.size(); ++i) {
    const Field field = at.At("layers", i);
    const Layer& layer = architecture.layers[i];
    absl::Status status;
    if (const auto* linear = std::get_if<LinearLayer>(&layer)) {
      status = CheckLayer(field, sizes, *linear, uint64_t{linear->in} * linear->out);
    } else if (const auto* conv1d = std::get_if<Conv1dLayer>(&layer)) {
      const unsigned __int128 per_output = uint64_t{conv1d->in / conv1d->groups} * conv1d->kernel;
      status = CheckLayer(field, sizes, *conv1d, per_output * conv1d->out);
    } else if (const auto* conv2d = std::get_if<Conv2dLayer>(&layer)) {
      const unsigned __int128 per_output =
          uint64_t{conv2d->in / conv2d->groups} * conv2d->kernel_h * conv2d->kernel_w;
      status = CheckLayer(field, sizes, *conv2d, per_output * conv2d->out);
    }
    MUSTER_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

}  // namespace wire

absl::StatusOr<Architecture> DecodeArchitecture(const v1::Architecture& wire) {
  return wire::Decode(wire::Field("model.Architecture"), wire);
}

v1::Architecture EncodeArchitecture(const Architecture& architecture) {
  v1::Architecture wire;
  wire.set_name(architecture.name);
  for (uint32_t side : architecture.input_shape) wire.add_input_shape(side);
  wire.set_outputs(architecture.outputs);
  for (const Layer& layer : architecture.layers) {
    std::visit(wire::LayerEncoder(wire.add_layers()), layer);
  }
  return wire;
}

}  // namespace muster
