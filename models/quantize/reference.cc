#include "models/quantize/reference.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "models/quantize/gemm.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kBatch = 16;  // examples at once: linear layers then reuse their weights

// Writes the patch under each output position as a column: [channels * kernel, positions].
void Unfold(const LoweredLayer& layer, uint32_t channels, const float* in, float* columns) {
  const auto& [height, width, unused] = layer.in;
  float* row = columns;
  for (uint32_t c = 0; c < channels; ++c, in += size_t{height} * width) {
    for (uint32_t kh = 0; kh < layer.kernel_h; ++kh) {
      for (uint32_t kw = 0; kw < layer.kernel_w; ++kw) {
        for (uint32_t y = 0; y < layer.out.height; ++y) {
          const int64_t iy = int64_t{y} * layer.stride_h + kh - layer.padding_h;
          if (iy < 0 || iy >= height) {
            row = std::fill_n(row, layer.out.width, 0.0f);
            continue;
          }
          for (uint32_t x = 0; x < layer.out.width; ++x) {
            const int64_t ix = int64_t{x} * layer.stride_w + kw - layer.padding_w;
            *row++ = ix < 0 || ix >= width ? 0.0f : in[iy * width + ix];
          }
        }
      }
    }
  }
}

void Pool(const LoweredLayer& layer, const float* in, float* out) {
  const bool max = layer.kind == LoweredKind::kMaxPool;
  const float scale = 1.0f / (static_cast<float>(layer.kernel_h) * layer.kernel_w);
  for (uint32_t c = 0; c < layer.in.channels; ++c) {
    for (uint32_t y = 0; y < layer.out.height; ++y) {
      for (uint32_t x = 0; x < layer.out.width; ++x) {
        const float* corner =
            in + size_t{y} * layer.stride_h * layer.in.width + size_t{x} * layer.stride_w;
        float value = max ? corner[0] : 0.0f;
        for (uint32_t kh = 0; kh < layer.kernel_h; ++kh) {
          for (uint32_t kw = 0; kw < layer.kernel_w; ++kw) {
            const float v = corner[size_t{kh} * layer.in.width + kw];
            value = max ? std::max(value, v) : value + v;
          }
        }
        *out++ = max ? value : value * scale;
      }
    }
    in += size_t{layer.in.height} * layer.in.width;
  }
}

}  // namespace

absl::StatusOr<std::span<const float>> FindParameter(const ParameterLayout& layout,
                                                     std::span<const float> weights,
                                                     const std::string& name,
                                                     std::vector<uint32_t> shape) {
  const auto& entries = layout.entries();
  const auto entry = std::find_if(entries.begin(), entries.end(),
                                  [&](const LayoutEntry& e) { return e.name == name; });
  if (entry == entries.end()) {
    return absl::InvalidArgumentError(
        StrCat("the network needs parameter \"", name, "\", the layout does not have it"));
  }
  if (entry->shape != shape) {
    return absl::InvalidArgumentError(StrCat("parameter \"", name, "\" has shape [",
                                             StrJoin(entry->shape, ", "), "], the network needs [",
                                             StrJoin(shape, ", "), "]"));
  }
  const auto values = weights.subspan(entry->offset, entry->size());
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end()) {
    return absl::InvalidArgumentError(StrCat("parameter \"", name, "\" has a value at ",
                                             bad - values.begin(), " that is not a finite number"));
  }
  return values;
}

absl::StatusOr<ReferenceExecutor> ReferenceExecutor::Create(const Architecture& architecture,
                                                            const ParameterLayout& layout,
                                                            std::span<const float> weights) {
  if (weights.size() != layout.total_size()) {
    return absl::InvalidArgumentError(
        StrCat("there are ", weights.size(), " weights, the layout names ", layout.total_size()));
  }
  ReferenceExecutor executor;
  MUSTER_ASSIGN_OR_RETURN(executor.layers_, LowerLayers(architecture));
  executor.parameters_.resize(executor.layers_.size());
  size_t largest = executor.layers_.front().in.size(), columns = 0;
  for (size_t i = 0; i < executor.layers_.size(); ++i) {
    const LoweredLayer& layer = executor.layers_[i];
    largest = std::max<size_t>(largest, layer.out.size());
    if (!layer.parametrised()) continue;
    MUSTER_ASSIGN_OR_RETURN(auto weight,
                            FindParameter(layout, weights, layer.weight, layer.weight_shape));
    Parameters& own = executor.parameters_[i];
    own.weight.assign(weight.begin(), weight.end());
    if (layer.kind == LoweredKind::kLinear) {
      const size_t in = layer.in.size(), out = layer.out.size();
      for (size_t o = 0; o < out; ++o) {
        for (size_t k = 0; k < in; ++k) own.weight[k * out + o] = weight[o * in + k];
      }
    } else {
      columns = std::max<size_t>(columns, layer.reduction() * layer.out.height * layer.out.width);
    }
    own.bias.assign(layer.out.channels, 0.0f);
    if (!layer.bias.empty()) {
      MUSTER_ASSIGN_OR_RETURN(auto bias,
                              FindParameter(layout, weights, layer.bias, {layer.out.channels}));
      own.bias.assign(bias.begin(), bias.end());
    }
  }
  executor.example_size_ = executor.layers_.front().in.size();
  executor.output_size_ = executor.layers_.back().out.size();
  executor.front_.resize(largest * kBatch);
  executor.back_.resize(largest * kBatch);
  executor.columns_.resize(columns);
  return executor;
}

void ReferenceExecutor::RunConvolution(const LoweredLayer& layer, const Parameters& parameters,
                                       const float* in, float* out) {
  const size_t positions = size_t{layer.out.height} * layer.out.width;
  const size_t outputs = layer.out.channels / layer.groups;
  const uint32_t inputs = layer.in.channels / layer.groups;
  const size_t reduction = layer.reduction();
  for (uint32_t g = 0; g < layer.groups; ++g) {
    Unfold(layer, inputs, in + size_t{g} * inputs * layer.in.height * layer.in.width,
           columns_.data());
    float* group_out = out + g * outputs * positions;
    for (size_t o = 0; o < outputs; ++o) {
      std::fill_n(group_out + o * positions, positions, parameters.bias[g * outputs + o]);
    }
    AddProduct(outputs, positions, reduction, parameters.weight.data() + g * outputs * reduction,
               columns_.data(), group_out);
  }
}

void ReferenceExecutor::RunLayer(size_t index, size_t n, const float* in, float* out) {
  const LoweredLayer& layer = layers_[index];
  const size_t in_size = layer.in.size(), out_size = layer.out.size();
  switch (layer.kind) {
    case LoweredKind::kLinear:
      for (size_t i = 0; i < n; ++i) {
        std::copy_n(parameters_[index].bias.data(), out_size, out + i * out_size);
      }
      AddProduct(n, out_size, in_size, in, parameters_[index].weight.data(), out);
      return;
    case LoweredKind::kConvolution:
      for (size_t i = 0; i < n; ++i) {
        RunConvolution(layer, parameters_[index], in + i * in_size, out + i * out_size);
      }
      return;
    case LoweredKind::kMaxPool:
    case LoweredKind::kAveragePool:
      for (size_t i = 0; i < n; ++i) Pool(layer, in + i * in_size, out + i * out_size);
      return;
    case LoweredKind::kRelu:
      for (size_t i = 0; i < n * in_size; ++i) out[i] = std::max(in[i], 0.0f);
      return;
    case LoweredKind::kFlatten:
      std::copy_n(in, n * in_size, out);
      return;
  }
}

absl::Status ReferenceExecutor::Run(std::span<const float> inputs, size_t n,
                                    std::span<float> outputs, const Observer& observer) {
  if (inputs.size() != n * example_size_ || outputs.size() != n * output_size_) {
    return absl::InvalidArgumentError(
        StrCat("for ", n, " examples there must be ", n * example_size_, " inputs and ",
               n * output_size_, " outputs, not ", inputs.size(), " and ", outputs.size()));
  }
  for (size_t first = 0; first < n; first += kBatch) {
    const size_t batch = std::min(kBatch, n - first);
    std::copy_n(inputs.data() + first * example_size_, batch * example_size_, front_.data());
    for (size_t i = 0; i < layers_.size(); ++i) {
      RunLayer(i, batch, front_.data(), back_.data());
      std::swap(front_, back_);
      const size_t size = layers_[i].out.size();
      for (size_t e = 0; observer && e < batch; ++e) {
        observer(i, std::span<const float>(front_).subspan(e * size, size));
      }
    }
    std::copy_n(front_.data(), batch * output_size_, outputs.data() + first * output_size_);
  }
  return absl::OkStatus();
}

}  // namespace muster
