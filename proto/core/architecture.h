// A network as a list of layers: what the zoo makes, what LibTorch builds a module from, and what
// the quantized runtime executes. Shapes are per example, without the batch dimension, channels
// first as PyTorch has them: [features], [channels, length] or [channels, height, width].
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace muster {

// `weight` and `bias` name layout entries. Weights are laid out as PyTorch's: linear [out, in],
// conv1d [out, in/groups, k], conv2d [out, in/groups, kh, kw]. An empty `bias` means none.
struct LinearLayer {
  uint32_t in = 0, out = 0;
  std::string weight, bias;
  friend bool operator==(const LinearLayer&, const LinearLayer&) = default;
};
struct Conv1dLayer {
  uint32_t in = 0, out = 0, kernel = 0, stride = 1, padding = 0, groups = 1;
  std::string weight, bias;
  friend bool operator==(const Conv1dLayer&, const Conv1dLayer&) = default;
};
struct Conv2dLayer {
  uint32_t in = 0, out = 0;
  uint32_t kernel_h = 0, kernel_w = 0, stride_h = 1, stride_w = 1, padding_h = 0, padding_w = 0;
  uint32_t groups = 1;
  std::string weight, bias;
  friend bool operator==(const Conv2dLayer&, const Conv2dLayer&) = default;
};
struct ReluLayer {
  friend bool operator==(const ReluLayer&, const ReluLayer&) = default;
};
enum class PoolKind { kMax, kAverage };
struct Pool1dLayer {
  PoolKind kind = PoolKind::kMax;
  uint32_t kernel = 0, stride = 0;
  friend bool operator==(const Pool1dLayer&, const Pool1dLayer&) = default;
};
struct Pool2dLayer {
  PoolKind kind = PoolKind::kMax;
  uint32_t kernel_h = 0, kernel_w = 0, stride_h = 0, stride_w = 0;
  friend bool operator==(const Pool2dLayer&, const Pool2dLayer&) = default;
};
// Mean over all positions: [c, l] or [c, h, w] -> [c, 1] or [c, 1, 1].
struct GlobalAveragePoolLayer {
  friend bool operator==(const GlobalAveragePoolLayer&, const GlobalAveragePoolLayer&) = default;
};
// [c, h, w] -> [c*h*w], channels outermost as in PyTorch.
struct FlattenLayer {
  friend bool operator==(const FlattenLayer&, const FlattenLayer&) = default;
};

using Layer = std::variant<LinearLayer, Conv1dLayer, Conv2dLayer, ReluLayer, Pool1dLayer,
                           Pool2dLayer, GlobalAveragePoolLayer, FlattenLayer>;

struct Architecture {
  std::string name;                   // "lenet5", or the name that a TorchScript module carries
  std::vector<uint32_t> input_shape;  // one example
  uint32_t outputs = 0;               // classes, or regression targets
  std::vector<Layer> layers;
  friend bool operator==(const Architecture&, const Architecture&) = default;
};

}  // namespace muster
