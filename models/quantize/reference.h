// The network in plain float32 C++: what quantization observes and is compared with. Needs no
// LibTorch and agrees with it to rounding.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "models/quantize/lowering.h"
#include "proto/core/architecture.h"
#include "proto/core/layout.h"

namespace muster {

class ReferenceExecutor {
 public:
  // Sees the output of layer `layer` for one example, channels first.
  using Observer = std::function<void(size_t layer, std::span<const float> values)>;

  // Checks the network's shapes and that `weights` [layout.total_size()] holds what it names.
  static absl::StatusOr<ReferenceExecutor> Create(const Architecture& architecture,
                                                  const ParameterLayout& layout,
                                                  std::span<const float> weights);

  // inputs [n, example], outputs [n, outputs()], both row-major. Not thread-safe.
  absl::Status Run(std::span<const float> inputs, size_t n, std::span<float> outputs,
                   const Observer& observer = nullptr);

  size_t example_size() const { return example_size_; }
  size_t outputs() const { return output_size_; }

 private:
  struct Parameters {
    std::vector<float> weight;  // linear: transposed to [in, out]; convolutions: as stored
    std::vector<float> bias;    // [out], zero where the layer has none
  };

  // Activations of `n` examples, [n, channels, height, width].
  void RunLayer(size_t layer, size_t n, const float* in, float* out);
  void RunConvolution(const LoweredLayer& layer, const Parameters& parameters, const float* in,
                      float* out);

  std::vector<LoweredLayer> layers_;
  std::vector<Parameters> parameters_;  // one per layer; empty for those without
  std::vector<float> front_, back_, columns_;
  size_t example_size_ = 0, output_size_ = 0;
};

// The entry's values in `weights`, or InvalidArgument if it is absent or has another shape.
absl::StatusOr<std::span<const float>> FindParameter(const ParameterLayout& layout,
                                                     std::span<const float> weights,
                                                     const std::string& name,
                                                     std::vector<uint32_t> shape);

}  // namespace muster
