#include "models/quantize/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "models/quantize/calibration.h"
#include "models/quantize/format.h"
#include "models/quantize/lowering.h"
#include "models/quantize/reference.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using mq8::OpKind;
using mq8::OpRecord;

constexpr int kWeightMax = 127;
// Requantization factors stay well inside what the runtime takes.
constexpr float kMaxFactor = mq8::kMaxRequantization / 2;
constexpr float kMinFactor = 1e-9f;
// Logits on new data reach further than on calibration data, and two that saturate would tie.
constexpr float kOutputHeadroom = 1.1f;

// One operation of the file, with the layers that it absorbed.
struct PlannedOp {
  LoweredLayer layer;
  OpKind kind = OpKind::kClamp;
  size_t observed = 0;  // the layer whose output is this operation's
  bool relu = false;
  mq8::Extent flattened_from;  // of a linear layer: the extent before the flatten
  OpRecord record = {};
  std::vector<int8_t> weights;
  std::vector<float> scales;
  std::vector<int32_t> bias;
};

// The same function with every ReLU moved before the max pools and flattens that it follows, where
// the convolution before them can absorb it: max(relu(a), relu(b)) = relu(max(a, b)).
Architecture MoveReluForward(Architecture architecture) {
  auto& layers = architecture.layers;
  const auto commutes = [](const Layer& layer) {
    if (const auto* pool = std::get_if<Pool1dLayer>(&layer)) return pool->kind == PoolKind::kMax;
    if (const auto* pool = std::get_if<Pool2dLayer>(&layer)) return pool->kind == PoolKind::kMax;
    return std::holds_alternative<FlattenLayer>(layer);
  };
  for (size_t i = 1; i < layers.size(); ++i) {
    for (size_t at = i;
         at > 0 && std::holds_alternative<ReluLayer>(layers[at]) && commutes(layers[at - 1]);
         --at) {
      std::swap(layers[at], layers[at - 1]);
    }
  }
  return architecture;
}

OpKind KindOf(LoweredKind kind) {
  switch (kind) {
    case LoweredKind::kLinear:
    case LoweredKind::kConvolution:
      return OpKind::kConvolution;
    case LoweredKind::kMaxPool:
      return OpKind::kMaxPool;
    case LoweredKind::kAveragePool:
      return OpKind::kAveragePool;
    case LoweredKind::kRelu:
    case LoweredKind::kFlatten:
      break;
  }
  return OpKind::kClamp;
}

std::vector<PlannedOp> PlanOps(const std::vector<LoweredLayer>& layers) {
  std::vector<PlannedOp> ops;
  mq8::Extent physical = layers.front().in;  // what a flatten leaves in memory
  for (size_t i = 0; i < layers.size(); ++i) {
    const LoweredLayer& layer = layers[i];
    if (layer.kind == LoweredKind::kFlatten) continue;
    if (layer.kind == LoweredKind::kRelu && !ops.empty() && ops.back().kind != OpKind::kMaxPool) {
      ops.back().relu = true;
      ops.back().observed = i;
      continue;
    }
    PlannedOp op;
    op.layer = layer;
    op.kind = KindOf(layer.kind);
    op.observed = i;
    op.relu = layer.kind == LoweredKind::kRelu;
    op.flattened_from = physical;
    if (op.kind == OpKind::kClamp) op.layer.in = op.layer.out = physical;
    physical = op.layer.out;
    ops.push_back(std::move(op));
  }
  return ops;
}

absl::StatusOr<std::vector<PlannedOp>> Plan(const Architecture& canonical) {
  MUSTER_ASSIGN_OR_RETURN(auto layers, LowerLayers(canonical));
  const auto too_large = [](std::string_view what, uint64_t value, uint64_t limit) {
    return absl::InvalidArgumentError(
        StrCat("the int8 runtime takes ", what, " up to ", limit, ", this network has ", value));
  };
  uint64_t weight_bytes = 0;
  for (const LoweredLayer& layer : layers) {
    for (const mq8::Extent& extent : {layer.in, layer.out}) {
      if (extent.size() > mq8::kMaxTensorElements) {
        return too_large("activations", extent.size(), mq8::kMaxTensorElements);
      }
      for (uint32_t d : {extent.height, extent.width, extent.channels}) {
        if (d > mq8::kMaxDimension) return too_large("dimensions", d, mq8::kMaxDimension);
      }
    }
    for (uint32_t d : {layer.stride_h, layer.stride_w, layer.kernel_h, layer.kernel_w}) {
      if (d > mq8::kMaxDimension) return too_large("strides and kernels", d, mq8::kMaxDimension);
    }
    if (!layer.parametrised()) continue;
    if (layer.reduction() > mq8::kMaxReduction) {
      return too_large("sums of inputs per output", layer.reduction(), mq8::kMaxReduction);
    }
    weight_bytes += layer.reduction() * layer.out.channels;
  }
  if (weight_bytes > mq8::kMaxFileBytes / 2) {
    return too_large("weights", weight_bytes, mq8::kMaxFileBytes / 2);
  }
  auto ops = PlanOps(layers);
  if (ops.empty()) return absl::InvalidArgumentError("the network computes nothing");
  if (ops.size() > mq8::kMaxOps) return too_large("operations", ops.size(), mq8::kMaxOps);
  return ops;
}

absl::Status CheckCalibration(std::span<const float> calibration, size_t n, size_t example,
                              const QuantizeOptions& options) {
  if (n == 0 || calibration.size() != n * example) {
    return absl::InvalidArgumentError(StrCat("calibration needs at least one example of ", example,
                                             " values; got ", calibration.size(), " values for ", n,
                                             " examples"));
  }
  if (options.method == CalibrationMethod::kPercentile &&
      !(options.percentile > 50.0 && options.percentile <= 100.0)) {
    return absl::InvalidArgumentError(
        StrCat("calibration percentile ", options.percentile, " is not above 50 and at most 100"));
  }
  for (size_t i = 0; i < calibration.size(); ++i) {
    if (!std::isfinite(calibration[i])) {
      return absl::InvalidArgumentError(
          StrCat("calibration example ", i / example, " has a value that is not a finite number"));
    }
  }
  return absl::OkStatus();
}

// Where in a file's row of weights (kernel, then input channel) the layout's element `k` goes.
size_t PhysicalIndex(const PlannedOp& op, size_t k) {
  if (op.layer.kind == LoweredKind::kLinear) {
    const size_t positions = size_t{op.flattened_from.height} * op.flattened_from.width;
    return k % positions * op.flattened_from.channels + k / positions;
  }
  const size_t kernel = size_t{op.layer.kernel_h} * op.layer.kernel_w;
  return k % kernel * (op.layer.in.channels / op.layer.groups) + k / kernel;
}

// Fills weights, scales and bias; `out` is widened if a weight scale demands it.
void QuantizeWeights(PlannedOp& op, std::span<const float> weight, std::span<const float> bias,
                     const TensorScale& in, RangeObserver::Range range, TensorScale& out) {
  const size_t channels = op.layer.out.channels, reduction = op.layer.reduction();
  op.weights.resize(channels * reduction);
  op.scales.resize(channels);
  op.bias.assign(channels, 0);
  float largest = 0;
  for (size_t c = 0; c < channels; ++c) {
    float peak = 0;
    for (float w : weight.subspan(c * reduction, reduction)) peak = std::max(peak, std::abs(w));
    // A channel that is nearly all bias needs a scale that its bias fits.
    const float bias_peak = bias.empty() ? 0.0f : std::abs(bias[c]);
    op.scales[c] = std::max(peak / kWeightMax, bias_peak / in.scale / (mq8::kMaxBias / 2));
    largest = std::max(largest, op.scales[c]);
  }
  if (in.scale * largest / out.scale > kMaxFactor) {
    out = ScaleForRange(range.low, range.high, in.scale * largest / kMaxFactor);
  }
  for (size_t c = 0; c < channels; ++c) {
    float& scale = op.scales[c];
    scale = std::max(scale, kMinFactor * out.scale / in.scale);
    for (size_t k = 0; k < reduction; ++k) {
      const float q = std::round(weight[c * reduction + k] / scale);
      op.weights[c * reduction + PhysicalIndex(op, k)] =
          static_cast<int8_t>(std::clamp<float>(q, -kWeightMax, kWeightMax));
    }
    if (bias.empty()) continue;
    const double q = std::round(double{bias[c]} / (double{in.scale} * scale));
    op.bias[c] = static_cast<int32_t>(std::clamp<double>(q, -mq8::kMaxBias, mq8::kMaxBias));
  }
}

void FillRecord(PlannedOp& op, const TensorScale& in, const TensorScale& out) {
  const LoweredLayer& layer = op.layer;
  OpRecord& record = op.record;
  record.kind = op.kind;
  record.input = layer.in;
  if (layer.kind == LoweredKind::kLinear) {
    record.input = {1, 1, static_cast<uint32_t>(layer.in.size())};
  }
  record.output = layer.out;
  record.kernel_h = layer.kernel_h;
  record.kernel_w = layer.kernel_w;
  record.stride_h = layer.stride_h;
  record.stride_w = layer.stride_w;
  record.padding_h = layer.padding_h;
  record.padding_w = layer.padding_w;
  record.groups = layer.groups;
  record.input_scale = in.scale;
  record.input_zero_point = in.zero_point;
  record.output_scale = out.scale;
  record.output_zero_point = out.zero_point;
  // With a zero point at the top end only zero is left; the limits must still differ.
  record.output_min = op.relu ? std::min(out.zero_point, 126) : -128;
  record.output_max = 127;
}

std::string WriteFile(const Architecture& architecture, std::vector<PlannedOp>& ops,
                      const TensorScale& input) {
  uint64_t size = sizeof(mq8::FileHeader) + ops.size() * sizeof(OpRecord);
  const auto place = [&](uint64_t bytes) {
    const uint64_t offset = (size + mq8::kAlignment - 1) / mq8::kAlignment * mq8::kAlignment;
    size = offset + bytes;
    return offset;
  };
  for (PlannedOp& op : ops) {
    if (op.kind != OpKind::kConvolution) continue;
    op.record.weight_offset = place(op.weights.size());
    op.record.scale_offset = place(op.scales.size() * sizeof(float));
    op.record.bias_offset = place(op.bias.size() * sizeof(int32_t));
  }
  mq8::FileHeader header = {};
  std::memcpy(header.magic, mq8::kMagic, sizeof(mq8::kMagic));
  header.version = mq8::kVersion;
  header.header_bytes = sizeof(header);
  header.file_bytes = size;
  header.ops_offset = sizeof(header);
  header.op_count = static_cast<uint32_t>(ops.size());
  header.outputs = static_cast<uint32_t>(ops.back().record.output.size());
  header.input_rank = static_cast<uint32_t>(architecture.input_shape.size());
  std::copy(architecture.input_shape.begin(), architecture.input_shape.end(), header.input_shape);
  header.input_scale = input.scale;
  header.input_zero_point = input.zero_point;
  architecture.name.copy(header.name, mq8::kMaxNameBytes);

  std::string bytes(size, '\0');
  char* record = bytes.data() + header.ops_offset;
  for (const PlannedOp& op : ops) {
    std::memcpy(record, &op.record, sizeof(OpRecord));
    record += sizeof(OpRecord);
    if (op.kind != OpKind::kConvolution) continue;
    std::memcpy(bytes.data() + op.record.weight_offset, op.weights.data(), op.weights.size());
    std::memcpy(bytes.data() + op.record.scale_offset, op.scales.data(),
                op.scales.size() * sizeof(float));
    std::memcpy(bytes.data() + op.record.bias_offset, op.bias.data(),
                op.bias.size() * sizeof(int32_t));
  }
  std::memcpy(bytes.data(), &header, sizeof(header));
  header.checksum = mq8::Checksum({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

// Runs the calibration data through the float network.
absl::StatusOr<std::vector<RangeObserver>> ObserveRanges(
    const Architecture& canonical, const ParameterLayout& layout, std::span<const float> weights,
    std::span<const float> calibration, size_t n, const std::vector<PlannedOp>& ops) {
  MUSTER_ASSIGN_OR_RETURN(auto reference, ReferenceExecutor::Create(canonical, layout, weights));
  std::vector<RangeObserver> ranges(ops.size());
  std::vector<RangeObserver*> by_layer(canonical.layers.size(), nullptr);
  for (size_t i = 0; i < ops.size(); ++i) by_layer[ops[i].observed] = &ranges[i];
  std::vector<float> outputs(n * reference.outputs());
  MUSTER_RETURN_IF_ERROR(
      reference.Run(calibration, n, outputs, [&](size_t layer, std::span<const float> values) {
        if (by_layer[layer]) by_layer[layer]->Observe(values);
      }));
  for (size_t i = 0; i < ops.size(); ++i) {
    if (!ranges[i].finite()) {
      return absl::InvalidArgumentError(
          StrCat("the network overflows float32 at operation ", i,
                 " on the calibration data: was its training stable?"));
    }
  }
  return ranges;
}

}  // namespace

absl::Status CheckQuantizable(const Architecture& architecture) {
  return Plan(MoveReluForward(architecture)).status();
}

bool IsQuantizable(const Architecture& architecture) { return CheckQuantizable(architecture).ok(); }

absl::StatusOr<std::string> QuantizeModel(const Architecture& architecture,
                                          const ParameterLayout& layout,
                                          std::span<const float> weights,
                                          std::span<const float> calibration, size_t n,
                                          const QuantizeOptions& options) {
  const Architecture canonical = MoveReluForward(architecture);
  MUSTER_ASSIGN_OR_RETURN(auto ops, Plan(canonical));
  const size_t example = mq8::ExtentOfShape(architecture.input_shape).size();
  MUSTER_RETURN_IF_ERROR(CheckCalibration(calibration, n, example, options));
  MUSTER_ASSIGN_OR_RETURN(auto ranges,
                          ObserveRanges(canonical, layout, weights, calibration, n, ops));

  const auto range_of = [&](const RangeObserver& observer) {
    return options.method == CalibrationMethod::kPercentile
               ? observer.Percentile(options.percentile)
               : observer.MinMax();
  };
  RangeObserver inputs;
  inputs.Observe(calibration);
  const RangeObserver::Range input_range = range_of(inputs);
  const TensorScale input = ScaleForRange(input_range.low, input_range.high, 0);

  TensorScale in = input;
  for (size_t i = 0; i < ops.size(); ++i) {
    PlannedOp& op = ops[i];
    RangeObserver::Range range = range_of(ranges[i]);
    if (i + 1 == ops.size()) {
      range = ranges[i].MinMax();
      range = {range.low * kOutputHeadroom, range.high * kOutputHeadroom};
    }
    TensorScale out = in;
    if (op.kind == OpKind::kAveragePool || op.kind == OpKind::kConvolution) {
      // Scales of neighbours far apart would leave the runtime's range of factors.
      out = ScaleForRange(range.low, range.high, in.scale / 65536);
    }
    if (op.kind == OpKind::kConvolution) {
      MUSTER_ASSIGN_OR_RETURN(
          auto weight, FindParameter(layout, weights, op.layer.weight, op.layer.weight_shape));
      std::span<const float> bias;
      if (!op.layer.bias.empty()) {
        MUSTER_ASSIGN_OR_RETURN(
            bias, FindParameter(layout, weights, op.layer.bias, {op.layer.out.channels}));
      }
      QuantizeWeights(op, weight, bias, in, range, out);
    }
    FillRecord(op, in, out);
    in = out;
  }
  return WriteFile(architecture, ops, input);
}

}  // namespace muster
