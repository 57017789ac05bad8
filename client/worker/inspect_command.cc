#include "client/worker/inspect_command.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "models/torch/inspect.h"
#include "proto/codec/json.h"
#include "proto/codec/model_codec.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {

absl::StatusOr<std::vector<uint32_t>> ParseInputShape(const std::string& text) {
  std::vector<uint32_t> shape;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    uint32_t side = 0;
    const auto [next, error] = std::from_chars(at, end, side);
    if (error != std::errc() || side == 0 || shape.size() == limits::kMaxTensorRank ||
        (next != end && *next != ',')) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", text, "' is no input shape: write the sides of one example, such as 1,28,28"));
    }
    shape.push_back(side);
    if (next == end) return shape;
    at = next + 1;
  }
}

absl::StatusOr<std::string> RunInspect(const InspectCommand& command) {
  MUSTER_ASSIGN_OR_RETURN(const InspectedModule module,
                          InspectModule(command.module, command.input_shape));
  MUSTER_ASSIGN_OR_RETURN(const std::string layout, MessageToJson(EncodeLayout(module.layout)));
  std::string architecture = "null";
  if (module.architecture) {
    MUSTER_ASSIGN_OR_RETURN(architecture, MessageToJson(EncodeArchitecture(*module.architecture)));
  }
  if (!command.layout_out.empty()) {
    MUSTER_RETURN_IF_ERROR(WriteFileDurably(command.layout_out, layout));
  }
  if (!command.weights_out.empty()) {
    MUSTER_RETURN_IF_ERROR(
        WriteFileDurably(command.weights_out, {reinterpret_cast<const char*>(module.weights.data()),
                                               module.weights.size() * sizeof(float)}));
  }
  return absl::StrCat("{\"architecture\":", architecture, ",\"layout\":", layout,
                      ",\"outputs\":", module.outputs,
                      ",\"has_loss\":", module.has_loss_method ? "true" : "false", "}");
}

}  // namespace muster
