// Every layer in one two-dimensional form, so that execution and quantization each have one case
// per kind of arithmetic: a 1-d convolution has height 1, a global pool a kernel as large as its
// input.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/quantize/format.h"
#include "proto/core/architecture.h"

namespace muster {

enum class LoweredKind { kLinear, kConvolution, kMaxPool, kAveragePool, kRelu, kFlatten };

struct LoweredLayer {
  LoweredKind kind = LoweredKind::kFlatten;
  mq8::Extent in, out;
  uint32_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  uint32_t padding_h = 0, padding_w = 0, groups = 1;
  std::string weight, bias;
  std::vector<uint32_t> weight_shape;  // as the layout has it

  bool parametrised() const {
    return kind == LoweredKind::kLinear || kind == LoweredKind::kConvolution;
  }
  // Inputs summed into one output.
  uint64_t reduction() const {
    return kind == LoweredKind::kLinear ? in.size()
                                        : uint64_t{kernel_h} * kernel_w * (in.channels / groups);
  }
};

// One per layer. InvalidArgument if the shapes do not fit together.
absl::StatusOr<std::vector<LoweredLayer>> LowerLayers(const Architecture& architecture);

}  // namespace muster
