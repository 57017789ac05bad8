// Any request: paths parse or are refused; a body that parses has exactly the values that its shape
// promises, and its reply can be written. The first byte, times four, is the JSON header's length;
// 0: there is none. What stands before the first newline after it is taken as a path as well.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "client/functions/inference_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace muster;
  static const ServedModel kModel = {
      .name = "m", .version = "1", .input_shape = {1, 2}, .outputs = 3};
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  (void)ParseRoute("POST", body.substr(0, body.find('\n')));
  std::optional<uint64_t> header_length;
  if (data[0] != 0) header_length = uint64_t{data[0]} * 4;
  const auto call = ParseInferCall(kModel, body, header_length);
  if (!call.ok()) {
    if (ErrorReply(call.status()).status < 400) std::abort();
    return 0;
  }
  if (call->rows == 0 || call->rows > kMaxInferRows) std::abort();
  if (call->values.size() != call->rows * kModel.input_size()) std::abort();
  for (float value : call->values) {
    if (!std::isfinite(value)) std::abort();
  }
  const std::vector<float> outputs(call->rows * kModel.outputs, 0.25f);
  if (WriteInferReply(kModel, *call, outputs).body.empty()) std::abort();
  return 0;
}
