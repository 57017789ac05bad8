// A job's place in larger messages.
#pragma once

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"
#include "proto/codec/field.h"
#include "proto/core/job_spec.h"

namespace muster::wire {

absl::StatusOr<JobSpec> Decode(const Field& at, const v1::JobSpec& wire);

}  // namespace muster::wire
