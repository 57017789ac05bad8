// The instance process' side: one model, answered synchronously.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/functions/http.h"
#include "client/functions/inference_protocol.h"
#include "models/quantize/runtime.h"

namespace muster {

class InferenceService {
 public:
  // `model` may be an error: then that is the answer to everything but liveness.
  InferenceService(std::string name, std::string version,
                   absl::StatusOr<std::unique_ptr<Int8Model>> model);

  HttpReply Handle(const HttpRequest& request);

 private:
  absl::StatusOr<HttpReply> Answer(const HttpRequest& request);
  absl::StatusOr<HttpReply> Infer(const HttpRequest& request);

  ServedModel served_;
  absl::StatusOr<std::unique_ptr<Int8Model>> model_;
  std::vector<float> outputs_;
};

}  // namespace muster
