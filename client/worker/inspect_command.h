// `muster-worker inspect`: what a TorchScript file holds, for programs that have no LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

struct InspectCommand {
  std::filesystem::path module;
  std::vector<uint32_t> input_shape;  // one example
  std::filesystem::path layout_out;   // muster.v1.Layout as JSON; empty: not written
  std::filesystem::path weights_out;  // float32[total]; empty: not written
};

// "1,28,28" -> {1, 28, 28}.
absl::StatusOr<std::vector<uint32_t>> ParseInputShape(const std::string& text);

// Returns one line of JSON: {"architecture": muster.v1.Architecture or null, "layout":
// muster.v1.Layout, "outputs": N, "has_loss": bool}.
absl::StatusOr<std::string> RunInspect(const InspectCommand& command);

}  // namespace muster
