// The functions that run on a device with LibTorch: train, evaluate, personalize. Each reads the
// files that its request names and writes below its output_dir. No LibTorch in this header.
//
//   train        update.f32    float32[shared_size]: local - global, shared entries in order
//                personal.f32  float32[total_size], if there are personal entries
//   evaluate     nothing
//   personalize  model.mq8     the int8 model that is to be served
//                model.f32     float32[total_size], the same model before quantization
//                personal.f32  the same bytes as model.f32
//
// Metrics: train: train_loss, train_accuracy (both running, over the whole run), train_loss_first,
// train_loss_last (first and last batch), learning_rate, steps. evaluate: loss, accuracy.
// personalize: global_accuracy, personalized_accuracy, int8_accuracy (of what is served),
// gate_passed, fp32_bytes, int8_bytes, held_out_examples.
//
// The same request over the same files gives the same bytes: one thread, and every choice by
// request.seed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "muster/worker/v1/worker.pb.h"

namespace muster {

struct FunctionResult {
  uint64_t examples = 0;  // train: the weight of the update; else what was evaluated on
  std::map<std::string, double> metrics;
  std::vector<std::string> files;  // below output_dir
};

// InvalidArgument: files that do not fit the manifest; FailedPrecondition: the function cannot do
// its work (no data, the loss became NaN, nothing to train, no int8 form); IsOutOfMemory: an
// allocation failed.
absl::StatusOr<FunctionResult> RunFunction(const worker::v1::WorkerRequest& request);

bool IsOutOfMemory(const absl::Status& status);

// Loads and runs a little of everything that functions use, so that forked children find it warm.
// Starts no thread, provided that OPENBLAS_NUM_THREADS=1 was set before exec.
void WarmUp();

}  // namespace muster
