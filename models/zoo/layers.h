// What one layer is and has; shared by the models, shape validation, layout and initialisation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/core/architecture.h"

namespace muster::zoo_internal {

struct LayerParameters {
  std::string weight, bias;            // an empty bias means none
  std::vector<uint32_t> weight_shape;  // as PyTorch lays it out: outputs first
  uint32_t outputs = 0;                // the bias has shape [outputs]
  uint64_t fan_in = 0;                 // inputs that one output sums over
};

// Nothing for layers without parameters. Call only on layers that passed InferShapes.
std::optional<LayerParameters> ParametersOf(const Layer& layer);

std::string_view LayerKind(const Layer& layer);  // "linear", "conv2d", ...

// "layer 3 (conv2d)".
std::string DescribeLayer(size_t index, const Layer& layer);

// InferShapes without the demand on how the network ends: for networks in the making.
absl::StatusOr<std::vector<std::vector<uint32_t>>> InferLayers(const Architecture& architecture);

std::string FormatShape(const std::vector<uint32_t>& shape);  // "[1, 28, 28]"

}  // namespace muster::zoo_internal
