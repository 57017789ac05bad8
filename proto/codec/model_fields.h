// The model codec's parts, with the path at which each stands in a larger message.
#pragma once

#include "absl/status/statusor.h"
#include "muster/v1/model.pb.h"
#include "proto/codec/field.h"
#include "proto/core/architecture.h"
#include "proto/core/layout.h"
#include "proto/core/manifest.h"
#include "proto/core/plan.h"

namespace muster::wire {

absl::StatusOr<Architecture> Decode(const Field& at, const v1::Architecture& wire);
absl::StatusOr<ParameterLayout> Decode(const Field& at, const v1::Layout& wire);
absl::StatusOr<TrainPlan> Decode(const Field& at, const v1::TrainPlan& wire);
absl::StatusOr<EvaluatePlan> Decode(const Field& at, const v1::EvaluatePlan& wire);
absl::StatusOr<PersonalizePlan> Decode(const Field& at, const v1::PersonalizePlan& wire);
absl::StatusOr<Lineage> Decode(const Field& at, const v1::Lineage& wire);
absl::StatusOr<Manifest> Decode(const Field& at, const v1::Manifest& wire);

// Every weight and bias that a layer names is a layout entry of the size that the layer implies.
absl::Status CheckParameters(const Field& at, const Architecture& architecture,
                             const ParameterLayout& layout);

}  // namespace muster::wire
