#include "models/torch/personalize.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "models/quantize/quantize.h"
#include "models/quantize/runtime.h"
#include "models/torch/accuracy.h"
#include "models/torch/flat_file.h"
#include "models/zoo/zoo.h"
#include "proto/core/random.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr size_t kInt8Batch = 64;  // examples per call of the int8 runtime

// What fine-tuning may change. FedProx's pull, if any, is toward the model that was handed out.
absl::StatusOr<TrainOptions> FineTuneOptions(const Manifest& manifest, uint64_t seed) {
  const PersonalizePlan& plan = manifest.personalize;
  const std::vector<std::string> head = HeadParameters(manifest.architecture);
  TrainOptions options{
      .learning_rate = LearningRateAt(plan.train.learning_rate, plan.train.schedule, 1, 1),
      .seed = seed};
  bool any = false;
  for (const LayoutEntry& entry : manifest.layout.entries()) {
    const bool in_scope = plan.scope == PersonalizeScope::kAll ||
                          std::find(head.begin(), head.end(), entry.name) != head.end();
    const bool trained = in_scope && entry.trainable && entry.group != ParameterGroup::kFrozen;
    options.trained.push_back(trained);
    options.anchored.push_back(true);
    any |= trained;
  }
  if (!any) {
    return absl::FailedPreconditionError(
        "personalization has nothing to train: every parameter in its scope is frozen; use scope "
        "'all' or freeze less");
  }
  return options;
}

// A random part of the training examples, row-major.
std::vector<float> CalibrationExamples(const Dataset& train, uint32_t count, uint64_t seed) {
  std::vector<uint64_t> rows(train.size());
  std::iota(rows.begin(), rows.end(), 0);
  SeededRandom random(DeriveSeed(seed, "calibration"));
  const size_t n = std::min<size_t>(std::max<uint32_t>(count, 1), rows.size());
  std::vector<float> examples;
  examples.reserve(n * train.example_size());
  for (size_t i = 0; i < n; ++i) {
    std::swap(rows[i], rows[i + random.Below(rows.size() - i)]);
    const auto begin = train.features.begin() + rows[i] * train.example_size();
    examples.insert(examples.end(), begin, begin + train.example_size());
  }
  return examples;
}

absl::StatusOr<double> Int8Accuracy(Int8Model& model, const Dataset& data, LossKind loss) {
  const size_t width = model.outputs();
  std::vector<float> outputs(kInt8Batch * width);
  uint64_t correct = 0;
  for (size_t begin = 0; begin < data.size(); begin += kInt8Batch) {
    const size_t n = std::min(kInt8Batch, data.size() - begin);
    MUSTER_RETURN_IF_ERROR(model.Run(
        std::span(data.features).subspan(begin * data.example_size(), n * data.example_size()), n,
        std::span(outputs).first(n * width)));
    for (size_t i = 0; i < n; ++i) {
      correct += IsCorrect(loss, std::span<const float>(outputs).subspan(i * width, width),
                           data.labels[begin + i]);
    }
  }
  return static_cast<double>(correct) / static_cast<double>(data.size());
}

struct Quantized {
  double accuracy = 0;
  uint64_t bytes = 0;
};

// Writes the int8 form of `weights` to `path` and measures it there, as it will be served.
absl::StatusOr<Quantized> QuantizeTo(const std::filesystem::path& path, const Manifest& manifest,
                                     std::span<const float> weights, const DeviceData& data,
                                     std::span<const float> calibration) {
  const PersonalizePlan& plan = manifest.personalize;
  MUSTER_ASSIGN_OR_RETURN(
      const std::string bytes,
      QuantizeModel(manifest.architecture, manifest.layout, weights, calibration,
                    calibration.size() / data.train.example_size(),
                    {.method = plan.calibration, .percentile = plan.calibration_percentile}));
  MUSTER_RETURN_IF_ERROR(WriteBytes(path, bytes));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Int8Model> model, Int8Model::Open(path));
  MUSTER_ASSIGN_OR_RETURN(const double accuracy,
                          Int8Accuracy(*model, data.held_out, manifest.evaluate.loss));
  return Quantized{.accuracy = accuracy, .bytes = bytes.size()};
}

}  // namespace

absl::Status CheckPersonalizable(const Manifest& manifest) {
  if (manifest.architecture.layers.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the model ", manifest.name.value(),
        " has no architecture that int8 serving knows: its module is no plain chain of linear, "
        "conv1d, conv2d, relu, pooling and flatten"));
  }
  if (absl::Status status = CheckQuantizable(manifest.architecture); !status.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the model ", manifest.name.value(),
                     " cannot be served as int8: ", std::string(status.message())));
  }
  return absl::OkStatus();
}

absl::StatusOr<FunctionResult> Personalize(const Manifest& manifest, const DeviceData& data,
                                           std::span<const float> start, uint64_t seed,
                                           const std::filesystem::path& output_dir,
                                           Learner& learner) {
  if (data.train.size() == 0) {
    return absl::FailedPreconditionError("this device has no training examples");
  }
  std::copy(start.begin(), start.end(), learner.weights().begin());
  MUSTER_ASSIGN_OR_RETURN(const Evaluation global,
                          learner.Evaluate(data.held_out, manifest.evaluate));
  Evaluation personalized = global;
  if (manifest.personalize.enabled) {
    MUSTER_ASSIGN_OR_RETURN(const TrainOptions options, FineTuneOptions(manifest, seed));
    MUSTER_RETURN_IF_ERROR(learner.Train(data.train, manifest.personalize.train, options).status());
    MUSTER_ASSIGN_OR_RETURN(personalized, learner.Evaluate(data.held_out, manifest.evaluate));
  }

  const std::vector<float> calibration =
      CalibrationExamples(data.train, manifest.personalize.calibration_examples, seed);
  std::span<const float> served = learner.weights();
  MUSTER_ASSIGN_OR_RETURN(Quantized quantized, QuantizeTo(output_dir / "model.mq8", manifest,
                                                          served, data, calibration));
  const bool passed = quantized.accuracy >= global.accuracy - manifest.personalize.gate_margin;
  if (!passed && manifest.personalize.enabled) {
    served = start;
    MUSTER_ASSIGN_OR_RETURN(
        quantized, QuantizeTo(output_dir / "model.mq8", manifest, served, data, calibration));
  }
  MUSTER_RETURN_IF_ERROR(WriteFloats(output_dir / "model.f32", served));
  MUSTER_RETURN_IF_ERROR(WriteFloats(output_dir / "personal.f32", served));
  return FunctionResult{
      .examples = data.train.size(),
      .metrics = {{"global_accuracy", global.accuracy},
                  {"global_loss", global.loss},
                  {"personalized_accuracy", personalized.accuracy},
                  {"personalized_loss", personalized.loss},
                  {"int8_accuracy", quantized.accuracy},
                  {"fp32_bytes", static_cast<double>(served.size_bytes())},
                  {"int8_bytes", static_cast<double>(quantized.bytes)},
                  {"held_out_examples", static_cast<double>(data.held_out.size())},
                  {"gate_passed", passed ? 1.0 : 0.0}},
      .files = {"model.mq8", "model.f32", "personal.f32"}};
}

}  // namespace muster
