// When an output row counts as right: one rule for LibTorch's networks and the int8 runtime.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "proto/core/plan.h"

namespace muster {

// Several outputs: the largest (the first of equals) is the label's. One output: a positive logit
// means label 1 with kBceWithLogits; otherwise the output rounds to the label.
inline bool IsCorrect(LossKind loss, std::span<const float> outputs, int64_t label) {
  if (outputs.size() == 1) {
    if (loss == LossKind::kBceWithLogits) return (outputs[0] > 0) == (label == 1);
    return std::fabs(static_cast<double>(outputs[0]) - static_cast<double>(label)) < 0.5;
  }
  return std::max_element(outputs.begin(), outputs.end()) - outputs.begin() == label;
}

}  // namespace muster
