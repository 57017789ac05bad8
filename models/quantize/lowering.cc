#include "models/quantize/lowering.h"

#include <utility>

#include "models/zoo/zoo.h"
#include "proto/core/status.h"

namespace muster {
namespace {

struct Lower {
  LoweredLayer& to;

  void operator()(const LinearLayer& layer) const {
    to.kind = LoweredKind::kLinear;
    to.weight = layer.weight;
    to.bias = layer.bias;
    to.weight_shape = {layer.out, layer.in};
  }
  void operator()(const Conv1dLayer& layer) const {
    to.kind = LoweredKind::kConvolution;
    to.kernel_w = layer.kernel;
    to.stride_w = layer.stride;
    to.padding_w = layer.padding;
    to.groups = layer.groups;
    to.weight = layer.weight;
    to.bias = layer.bias;
    to.weight_shape = {layer.out, layer.in / layer.groups, layer.kernel};
  }
  void operator()(const Conv2dLayer& layer) const {
    to.kind = LoweredKind::kConvolution;
    to.kernel_h = layer.kernel_h;
    to.kernel_w = layer.kernel_w;
    to.stride_h = layer.stride_h;
    to.stride_w = layer.stride_w;
    to.padding_h = layer.padding_h;
    to.padding_w = layer.padding_w;
    to.groups = layer.groups;
    to.weight = layer.weight;
    to.bias = layer.bias;
    to.weight_shape = {layer.out, layer.in / layer.groups, layer.kernel_h, layer.kernel_w};
  }
  void operator()(const ReluLayer&) const { to.kind = LoweredKind::kRelu; }
  void operator()(const Pool1dLayer& layer) const {
    to.kind = Pool(layer.kind);
    to.kernel_w = layer.kernel;
    to.stride_w = layer.stride;
  }
  void operator()(const Pool2dLayer& layer) const {
    to.kind = Pool(layer.kind);
    to.kernel_h = layer.kernel_h;
    to.kernel_w = layer.kernel_w;
    to.stride_h = layer.stride_h;
    to.stride_w = layer.stride_w;
  }
  void operator()(const GlobalAveragePoolLayer&) const {
    to.kind = LoweredKind::kAveragePool;
    to.kernel_h = to.in.height;
    to.kernel_w = to.in.width;
  }
  void operator()(const FlattenLayer&) const { to.kind = LoweredKind::kFlatten; }

  static LoweredKind Pool(PoolKind kind) {
    return kind == PoolKind::kMax ? LoweredKind::kMaxPool : LoweredKind::kAveragePool;
  }
};

}  // namespace

absl::StatusOr<std::vector<LoweredLayer>> LowerLayers(const Architecture& architecture) {
  MUSTER_ASSIGN_OR_RETURN(auto shapes, InferShapes(architecture));
  std::vector<LoweredLayer> lowered(shapes.size());
  mq8::Extent in = mq8::ExtentOfShape(architecture.input_shape);
  for (size_t i = 0; i < shapes.size(); ++i) {
    lowered[i].in = in;
    lowered[i].out = in = mq8::ExtentOfShape(shapes[i]);
    std::visit(Lower{lowered[i]}, architecture.layers[i]);
  }
  return lowered;
}

}  // namespace muster
