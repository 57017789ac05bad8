#include "models/torch/functions.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "models/data/source.h"
#include "models/torch/errors.h"
#include "models/torch/flat_file.h"
#include "models/torch/learner.h"
#include "models/torch/personalize.h"
#include "proto/codec/model_codec.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using worker::v1::WorkerRequest;

absl::StatusOr<Manifest> ReadManifest(const WorkerRequest& request) {
  MUSTER_ASSIGN_OR_RETURN(const std::string json,
                          ReadFile(request.manifest_path(), limits::kMaxManifestBytes));
  return ManifestFromJson(json);
}

absl::StatusOr<Learner> MakeLearner(const WorkerRequest& request, const Manifest& manifest) {
  if (!request.module_path().empty()) {
    return Learner::FromModule(request.module_path(), manifest.layout,
                               manifest.architecture.input_shape);
  }
  return Learner::FromArchitecture(manifest.architecture, manifest.layout);
}

bool HasPersonalEntries(const ParameterLayout& layout) {
  for (const LayoutEntry& entry : layout.entries()) {
    if (entry.group == ParameterGroup::kPersonal) return true;
  }
  return false;
}

// The global weights, with this device's own personal entries in their places.
absl::StatusOr<std::vector<float>> ReadStart(const WorkerRequest& request,
                                             const ParameterLayout& layout) {
  std::vector<float> weights(layout.total_size());
  MUSTER_RETURN_IF_ERROR(ReadFloats(request.weights_path(), weights));
  if (request.personal_path().empty() || !HasPersonalEntries(layout)) return weights;
  std::vector<float> own(layout.total_size());
  MUSTER_RETURN_IF_ERROR(ReadFloats(request.personal_path(), own));
  for (const LayoutEntry& entry : layout.entries()) {
    if (entry.group != ParameterGroup::kPersonal) continue;
    std::copy_n(own.begin() + entry.offset, entry.size(), weights.begin() + entry.offset);
  }
  return weights;
}

// local - global over the shared entries, in order: what leaves the device.
std::vector<float> Update(const ParameterLayout& layout, std::span<const float> local,
                          std::span<const float> global) {
  std::vector<float> update;
  update.reserve(layout.shared_size());
  for (const LayoutEntry& entry : layout.entries()) {
    if (entry.group != ParameterGroup::kShared) continue;
    for (uint64_t i = entry.offset; i < entry.offset + entry.size(); ++i) {
      update.push_back(local[i] - global[i]);
    }
  }
  return update;
}

// Frozen entries keep their start, buffers too: a batch norm moves its statistics by itself.
void RestoreFrozen(const ParameterLayout& layout, std::span<const float> start,
                   std::span<float> local) {
  for (const LayoutEntry& entry : layout.entries()) {
    if (entry.group != ParameterGroup::kFrozen) continue;
    std::copy_n(start.begin() + entry.offset, entry.size(), local.begin() + entry.offset);
  }
}

absl::StatusOr<FunctionResult> Train(const WorkerRequest& request, const Manifest& manifest) {
  const ParameterLayout& layout = manifest.layout;
  const TrainPlan& plan = manifest.train;
  MUSTER_ASSIGN_OR_RETURN(const DeviceData data, OpenDeviceData(request.data()));
  MUSTER_ASSIGN_OR_RETURN(Learner learner, MakeLearner(request, manifest));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<float> start, ReadStart(request, layout));
  std::copy(start.begin(), start.end(), learner.weights().begin());

  TrainOptions options{.learning_rate = LearningRateAt(plan.learning_rate, plan.schedule,
                                                       request.round(), manifest.total_rounds),
                       .seed = request.seed()};
  for (const LayoutEntry& entry : layout.entries()) {
    options.trained.push_back(entry.trainable && entry.group != ParameterGroup::kFrozen);
    // Personal entries have no global value to be pulled to.
    options.anchored.push_back(entry.group == ParameterGroup::kShared);
  }
  MUSTER_ASSIGN_OR_RETURN(const TrainReport report, learner.Train(data.train, plan, options));
  RestoreFrozen(layout, start, learner.weights());

  FunctionResult result{.examples = report.examples};
  const std::filesystem::path out = request.output_dir();
  MUSTER_RETURN_IF_ERROR(WriteFloats(out / "update.f32", Update(layout, learner.weights(), start)));
  result.files.push_back("update.f32");
  if (HasPersonalEntries(layout)) {
    MUSTER_RETURN_IF_ERROR(WriteFloats(out / "personal.f32", learner.weights()));
    result.files.push_back("personal.f32");
  }
  result.metrics = {{"train_loss", report.loss},
                    {"train_loss_first", report.loss_first},
                    {"train_loss_last", report.loss_last},
                    {"train_accuracy", report.accuracy},
                    {"learning_rate", options.learning_rate},
                    {"steps", static_cast<double>(report.steps)}};
  return result;
}

absl::StatusOr<FunctionResult> Evaluate(const WorkerRequest& request, const Manifest& manifest) {
  MUSTER_ASSIGN_OR_RETURN(const DeviceData data, OpenDeviceData(request.data()));
  MUSTER_ASSIGN_OR_RETURN(Learner learner, MakeLearner(request, manifest));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<float> start, ReadStart(request, manifest.layout));
  std::copy(start.begin(), start.end(), learner.weights().begin());
  MUSTER_ASSIGN_OR_RETURN(const Evaluation evaluation,
                          learner.Evaluate(data.held_out, manifest.evaluate));
  return FunctionResult{.examples = data.held_out.size(),
                        .metrics = {{"loss", evaluation.loss}, {"accuracy", evaluation.accuracy}}};
}

absl::StatusOr<FunctionResult> PersonalizeHere(const WorkerRequest& request,
                                               const Manifest& manifest) {
  MUSTER_RETURN_IF_ERROR(CheckPersonalizable(manifest));
  MUSTER_ASSIGN_OR_RETURN(const DeviceData data, OpenDeviceData(request.data()));
  MUSTER_ASSIGN_OR_RETURN(Learner learner, MakeLearner(request, manifest));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<float> start, ReadStart(request, manifest.layout));
  Manifest wanted = manifest;  // a promotion may ask for the fleet's model as it is
  wanted.personalize.enabled = manifest.personalize.enabled && !request.skip_fine_tune();
  return Personalize(wanted, data, start, request.seed(), request.output_dir(), learner);
}

absl::StatusOr<FunctionResult> Dispatch(const WorkerRequest& request) {
  MUSTER_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(request));
  switch (request.function()) {
    case v1::FUNCTION_KIND_TRAIN:
      return Train(request, manifest);
    case v1::FUNCTION_KIND_EVALUATE:
      return Evaluate(request, manifest);
    case v1::FUNCTION_KIND_PERSONALIZE:
      return PersonalizeHere(request, manifest);
    default:
      return absl::UnimplementedError(
          absl::StrCat("the worker has no function ", request.function()));
  }
}

}  // namespace

absl::StatusOr<FunctionResult> RunFunction(const WorkerRequest& request) {
  return CatchTorch("running the function", [&] { return Dispatch(request); });
}

}  // namespace muster
