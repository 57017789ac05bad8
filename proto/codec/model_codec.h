// Models between wire messages and values: architecture, layout, plans, lineage, manifest. Decode
// functions check every field against named limits and answer InvalidArgument with the field's
// path; decode(encode(x)) == x for every valid x. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "muster/v1/model.pb.h"
#include "proto/core/architecture.h"
#include "proto/core/layout.h"
#include "proto/core/manifest.h"
#include "proto/core/plan.h"

namespace muster {

inline constexpr std::string_view kManifestSchema = "muster.manifest/v1";

namespace limits {
inline constexpr size_t kMaxLayers = 1024;
inline constexpr uint32_t kMaxDimension = 1u << 24;    // features, channels, one side of an input
inline constexpr uint32_t kMaxKernel = 4096;           // kernels, strides, paddings
inline constexpr uint64_t kMaxExampleSize = 1u << 26;  // elements of one example
inline constexpr double kMaxLearningRate = 1e3;
inline constexpr double kMaxPenalty = 1e6;  // weight decay, proximal mu
}  // namespace limits

absl::StatusOr<Architecture> DecodeArchitecture(const v1::Architecture& wire);
v1::Architecture EncodeArchitecture(const Architecture& architecture);

absl::StatusOr<ParameterLayout> DecodeLayout(const v1::Layout& wire);
v1::Layout EncodeLayout(const ParameterLayout& layout);

absl::StatusOr<TrainPlan> DecodeTrainPlan(const v1::TrainPlan& wire);
v1::TrainPlan EncodeTrainPlan(const TrainPlan& plan);

absl::StatusOr<EvaluatePlan> DecodeEvaluatePlan(const v1::EvaluatePlan& wire);
v1::EvaluatePlan EncodeEvaluatePlan(const EvaluatePlan& plan);

absl::StatusOr<PersonalizePlan> DecodePersonalizePlan(const v1::PersonalizePlan& wire);
v1::PersonalizePlan EncodePersonalizePlan(const PersonalizePlan& plan);

absl::StatusOr<Lineage> DecodeLineage(const v1::Lineage& wire);
v1::Lineage EncodeLineage(const Lineage& lineage);

// Also checks that the architecture's weights and biases are in the layout, with their sizes.
absl::StatusOr<Manifest> DecodeManifest(const v1::Manifest& wire);
v1::Manifest EncodeManifest(const Manifest& manifest);

// Canonical JSON: the proto's field names, no white space, default values left out, map keys
// sorted. Equal manifests give equal bytes. ManifestToJson refuses a manifest that could not be
// read back.
absl::StatusOr<std::string> ManifestToJson(const Manifest& manifest);
// At most limits::kMaxManifestBytes; unknown fields are refused.
absl::StatusOr<Manifest> ManifestFromJson(std::string_view json);

}  // namespace muster
