// Fine-tune the global model on a device's own data, quantize it, and decide which of the two the
// device serves. No LibTorch in this header.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/data/source.h"
#include "models/torch/functions.h"
#include "models/torch/learner.h"
#include "proto/core/manifest.h"

namespace muster {

// FailedPrecondition when the model cannot be served as int8: it then stays a training model.
absl::Status CheckPersonalizable(const Manifest& manifest);

// `start` [total_size]: the global weights with the device's personal entries. The local gate: the
// int8 form of the personalized model must not lose more than plan.gate_margin of accuracy against
// the global float32 model on the held-out part; otherwise the global model is quantized and
// served. Both forms are calibrated on the device's training examples. Writes model.mq8, model.f32
// and personal.f32 into `output_dir`.
absl::StatusOr<FunctionResult> Personalize(const Manifest& manifest, const DeviceData& data,
                                           std::span<const float> start, uint64_t seed,
                                           const std::filesystem::path& output_dir,
                                           Learner& learner);

}  // namespace muster
