// What a researcher's TorchScript file holds. No LibTorch in this header.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/core/architecture.h"
#include "proto/core/layout.h"

namespace muster {

struct InspectedModule {
  ParameterLayout
      layout;  // parameters, then float buffers (not trainable), as the module has them;
               // all shared; a parameter with requires_grad=False is not trainable
  std::vector<float> weights;                // [layout.total_size()]
  std::optional<Architecture> architecture;  // when the module is a plain chain of known layers,
                                             // and gives the same outputs as one
  uint32_t outputs = 0;                      // of one example
  bool has_loss_method = false;              // loss(self, x, y) -> scalar
};

// `input_shape` is of one example, without the batch dimension. NotFound: no such file;
// InvalidArgument: no TorchScript file, a traced or frozen module, parameters that are not float32
// or share memory, or a module whose forward fails on an example of this shape. The message says
// how to make a file that is accepted.
absl::StatusOr<InspectedModule> InspectModule(const std::filesystem::path& pt,
                                              std::span<const uint32_t> input_shape);

}  // namespace muster
