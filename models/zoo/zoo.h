// The model zoo: networks as data (proto/core/architecture.h), their shapes, their parameter layout
// and their first weights. No LibTorch: the coordinator makes round zero's weights with this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/architecture.h"
#include "proto/core/layout.h"

namespace muster {

inline constexpr size_t kMaxZooLayers = 1000;
inline constexpr size_t kMaxHiddenLayers = 64;
inline constexpr uint32_t kMaxLayerWidth = 1u << 20;  // features or channels of one layer
inline constexpr uint64_t kMaxActivationElements = 1ull
                                                   << 26;  // one layer's output for one example

// Empty or zero: the model's default.
struct ZooOptions {
  std::vector<uint32_t> input_shape;  // one example, channels first, without the batch dimension
  uint32_t outputs = 0;               // classes
  std::vector<uint32_t> hidden;       // widths of the hidden layers; mlp only
};

// mlp, lenet5, mcmahan_cnn, har_cnn1d, logreg.
std::span<const std::string_view> ZooModelNames();

//   mlp          [1, 28, 28] -> 200 -> 200 -> 10, ReLU between ("2NN" of McMahan et al. 2017)
//   lenet5       LeCun et al. 1998 with ReLU and max pooling; 28x28 inputs are padded to 32x32
//   mcmahan_cnn  the CNN of McMahan et al. 2017: 5x5x32, pool, 5x5x64, pool, 512, 10;
//                1,663,370 parameters for [1, 28, 28]
//   har_cnn1d    [9, 128] -> 6: two 1-d convolutions over inertial signals (UCI HAR's windows)
//   logreg       multinomial logistic regression, [1, 28, 28] -> 10
// Every model gives logits [outputs]. Parameters are named as in a PyTorch Sequential of the same
// layers: "<index>.weight", "<index>.bias". NotFound for an unknown name, InvalidArgument for
// options that the model cannot have.
absl::StatusOr<Architecture> MakeZooArchitecture(std::string_view name, const ZooOptions& options);

// The output shape after each layer, without the batch dimension. Validates the whole network: what
// each layer takes against what it gets, kernels against their input, parameter names, and that the
// last layer gives [outputs]. InvalidArgument names the layer by index and kind.
absl::StatusOr<std::vector<std::vector<uint32_t>>> InferShapes(const Architecture& architecture);

// Every parameter, shared, in the order of layers: a layer's weight, then its bias.
absl::StatusOr<ParameterLayout> LayoutOf(const Architecture& architecture);

// PyTorch's default for linear and convolution layers: He et al. 2015 uniform with a = sqrt(5),
// which is U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights, and the same range for biases. Each
// entry draws from a seed of its own, so adding a layer does not change the others. `layout` may
// have groups assigned, but must be the architecture's. Returns float32[layout.total_size()].
absl::StatusOr<std::vector<float>> InitialWeights(const Architecture& architecture,
                                                  const ParameterLayout& layout, uint64_t seed);

// Weight and bias of the last layer that has parameters: what "head" personalization trains.
std::vector<std::string> HeadParameters(const Architecture& architecture);

}  // namespace muster
