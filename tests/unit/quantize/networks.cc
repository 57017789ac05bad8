#include "tests/unit/quantize/networks.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "models/quantize/reference.h"
#include "models/zoo/zoo.h"
#include "proto/core/random.h"
#include "proto/core/strings.h"

namespace muster::testing_support {
namespace {

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::abort();
  }
  return *std::move(value);
}

// Gives each parametrised layer its names.
void NameParameters(std::vector<Layer>& layers) {
  for (size_t i = 0; i < layers.size(); ++i) {
    std::visit(
        [&](auto& layer) {
          if constexpr (requires { layer.weight; }) {
            layer.weight = StrCat(i, ".weight");
            layer.bias = StrCat(i, ".bias");
          }
        },
        layers[i]);
  }
}

Network Finish(Architecture architecture, uint64_t seed) {
  Network network{std::move(architecture), {}, {}};
  network.layout = OrDie(LayoutOf(network.architecture));
  network.weights = OrDie(InitialWeights(network.architecture, network.layout, seed));
  return network;
}

// Appends one random layer that fits [channels, height, width] or [channels, length].
void AppendSpatialLayer(RandomSource& random, std::vector<uint32_t>& shape,
                        std::vector<Layer>& layers) {
  const bool flat = shape.size() == 2;
  const auto up_to = [&](uint32_t limit) {
    return 1 + static_cast<uint32_t>(random.Below(std::max(1u, limit)));
  };
  const uint32_t height = flat ? 1 : shape[1], width = shape.back();
  const auto resize = [&](uint32_t kernel_h, uint32_t kernel_w, uint32_t stride_h,
                          uint32_t stride_w, uint32_t padding) {
    if (!flat) shape[1] = (height + 2 * padding - kernel_h) / stride_h + 1;
    shape.back() = (width + 2 * padding - kernel_w) / stride_w + 1;
  };
  switch (random.Below(4)) {
    case 0: {
      const uint32_t kernel = up_to(std::min(flat ? width : std::min(width, height), 5u));
      const uint32_t stride = up_to(2), padding = static_cast<uint32_t>(random.Below(kernel));
      const uint32_t in = shape[0];
      const bool depthwise = random.Below(2) == 0;
      const uint32_t out = depthwise ? in * up_to(2) : up_to(12), groups = depthwise ? in : 1;
      if (flat) {
        layers.push_back(Conv1dLayer{in, out, kernel, stride, padding, groups, "", ""});
      } else {
        layers.push_back(
            Conv2dLayer{in, out, kernel, kernel, stride, stride, padding, padding, groups, "", ""});
      }
      resize(kernel, kernel, stride, stride, padding);
      shape[0] = out;
      return;
    }
    case 1: {
      const auto kind = random.Below(2) == 0 ? PoolKind::kMax : PoolKind::kAverage;
      const uint32_t kernel_w = up_to(std::min(width, 3u)), stride_w = up_to(3);
      const uint32_t kernel_h = up_to(std::min(height, 3u)), stride_h = up_to(3);
      if (flat) {
        layers.push_back(Pool1dLayer{kind, kernel_w, stride_w});
      } else {
        layers.push_back(Pool2dLayer{kind, kernel_h, kernel_w, stride_h, stride_w});
      }
      return resize(kernel_h, kernel_w, stride_h, stride_w, 0);
    }
    case 2:
      layers.push_back(ReluLayer{});
      return;
    default:
      if (random.Below(4) != 0) return;
      layers.push_back(GlobalAveragePoolLayer{});
      std::fill(shape.begin() + 1, shape.end(), 1u);
  }
}

}  // namespace

Network MakeNetwork(std::vector<uint32_t> input_shape, std::vector<Layer> layers, uint64_t seed) {
  NameParameters(layers);
  Architecture architecture{"test", std::move(input_shape), 0, std::move(layers)};
  uint64_t outputs = 0;  // of the last layer with parameters, or what flattening leaves
  for (const Layer& layer : architecture.layers) {
    if (const auto* linear = std::get_if<LinearLayer>(&layer)) outputs = linear->out;
  }
  architecture.outputs = static_cast<uint32_t>(outputs);
  return Finish(std::move(architecture), seed);
}

Network MakeZooNetwork(std::string_view name, uint64_t seed) {
  return Finish(OrDie(MakeZooArchitecture(name, {})), seed);
}

Network RandomNetwork(uint64_t seed) {
  SeededRandom random(seed);
  const auto dimension = [&](uint64_t from, uint64_t count) {
    return static_cast<uint32_t>(from + random.Below(count));
  };
  std::vector<uint32_t> shape;
  std::vector<Layer> layers;
  switch (random.Below(3)) {
    case 0:
      shape = {dimension(1, 64)};
      break;
    case 1:
      shape = {dimension(1, 9), dimension(4, 40)};
      break;
    default:
      shape = {dimension(1, 5), dimension(4, 14), dimension(4, 14)};
  }
  const std::vector<uint32_t> input_shape = shape;
  for (uint64_t count = random.Below(5); shape.size() > 1 && count > 0; --count) {
    AppendSpatialLayer(random, shape, layers);
  }
  uint32_t features = 1;
  for (uint32_t d : shape) features *= d;
  if (shape.size() > 1 || random.Below(4) == 0) layers.push_back(FlattenLayer{});
  if (random.Below(3) == 0) layers.push_back(ReluLayer{});
  if (random.Below(2) == 0) {
    const uint32_t hidden = dimension(1, 40);
    layers.push_back(LinearLayer{features, hidden, "", ""});
    layers.push_back(ReluLayer{});
    features = hidden;
  }
  layers.push_back(LinearLayer{features, dimension(2, 12), "", ""});
  return MakeNetwork(input_shape, std::move(layers), seed);
}

std::vector<float> MakeExamples(const Architecture& architecture, size_t n, uint64_t seed) {
  size_t size = n;
  for (uint32_t d : architecture.input_shape) size *= d;
  SeededRandom random(seed);
  std::vector<float> examples(size);
  for (float& value : examples) value = static_cast<float>(random.Unit());
  return examples;
}

std::vector<float> RunReference(const Network& network, std::span<const float> examples, size_t n) {
  auto reference =
      OrDie(ReferenceExecutor::Create(network.architecture, network.layout, network.weights));
  std::vector<float> outputs(n * reference.outputs());
  EXPECT_TRUE(reference.Run(examples, n, outputs).ok());
  return outputs;
}

std::filesystem::path WriteTemporary(std::string_view bytes) {
  std::string folder = testing::TempDir() + "/muster-quantize-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) std::abort();
  const std::filesystem::path path = std::filesystem::path(folder) / "model.mq8";
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::vector<float> RunQuantized(const Network& network, std::span<const float> examples, size_t n,
                                const QuantizeOptions& options) {
  const auto bytes =
      QuantizeModel(network.architecture, network.layout, network.weights, examples, n, options);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  if (!bytes.ok()) return {};
  const auto path = WriteTemporary(*bytes);
  auto model = Int8Model::Open(path);
  std::filesystem::remove_all(path.parent_path());
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return {};
  std::vector<float> outputs(n * (*model)->outputs());
  EXPECT_TRUE((*model)->Run(examples, n, outputs).ok());
  return outputs;
}

double SignalToNoise(std::span<const float> signal, std::span<const float> noisy) {
  double power = 0, noise = 1e-30;
  for (size_t i = 0; i < signal.size(); ++i) {
    power += double{signal[i]} * signal[i];
    noise += (double{signal[i]} - noisy[i]) * (double{signal[i]} - noisy[i]);
  }
  return 10 * std::log10(power / noise);
}

}  // namespace muster::testing_support
