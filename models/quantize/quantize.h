// Post-training static quantization to int8: per-channel symmetric weights, per-tensor asymmetric
// activations whose ranges are observed on calibration data (Jacob et al. 2018; Krishnamoorthi
// 2018).
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/architecture.h"
#include "proto/core/layout.h"
#include "proto/core/plan.h"

namespace muster {

struct QuantizeOptions {
  CalibrationMethod method = CalibrationMethod::kMinMax;
  double percentile = 99.99;  // (50, 100]; kPercentile only. The output's range is always min/max.
};

// OK, or why the int8 runtime cannot run this network: then LibTorch must.
absl::Status CheckQuantizable(const Architecture& architecture);
bool IsQuantizable(const Architecture& architecture);

// Returns the bytes of a model file (format.h). `weights` is [layout.total_size()], `calibration`
// [n, example], n >= 1, all finite. InvalidArgument says which of them is wrong. Takes about as
// long as n float inferences in plain C++, and memory for the weights twice.
absl::StatusOr<std::string> QuantizeModel(const Architecture& architecture,
                                          const ParameterLayout& layout,
                                          std::span<const float> weights,
                                          std::span<const float> calibration, size_t n,
                                          const QuantizeOptions& options);

}  // namespace muster
