// Networks, weights and data from seeds, for the tests of quantization.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "models/quantize/quantize.h"
#include "models/quantize/runtime.h"
#include "proto/core/architecture.h"
#include "proto/core/layout.h"

namespace muster::testing_support {

struct Network {
  Architecture architecture;
  ParameterLayout layout;
  std::vector<float> weights;
};

// PyTorch's default initial weights. Aborts if the layers do not fit together.
Network MakeNetwork(std::vector<uint32_t> input_shape, std::vector<Layer> layers, uint64_t seed);
Network MakeZooNetwork(std::string_view name, uint64_t seed);

// A network of 1 to 8 layers of every kind that ends in a linear layer.
Network RandomNetwork(uint64_t seed);

// n examples with values in [0, 1).
std::vector<float> MakeExamples(const Architecture& architecture, size_t n, uint64_t seed);

std::vector<float> RunReference(const Network& network, std::span<const float> examples, size_t n);

// Writes bytes to a file in a fresh folder below testing::TempDir().
std::filesystem::path WriteTemporary(std::string_view bytes);

// Quantizes with `examples` as calibration, opens the file and runs them.
std::vector<float> RunQuantized(const Network& network, std::span<const float> examples, size_t n,
                                const QuantizeOptions& options = {});

// Signal to noise in decibels: 10 log10(sum of squares / sum of squared differences).
double SignalToNoise(std::span<const float> signal, std::span<const float> noisy);

}  // namespace muster::testing_support
