// Jobs between wire messages and values. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"
#include "proto/core/job_spec.h"

namespace muster {

// Checks every field, then the rules across fields (ValidateJobSpec), then that the architecture's
// parameters are in the layout. InvalidArgument with the field's path.
absl::StatusOr<JobSpec> DecodeJobSpec(const v1::JobSpec& wire);
v1::JobSpec EncodeJobSpec(const JobSpec& spec);

// The bytes that stores keep. Equal specs give equal bytes.
std::string SerializeJobSpec(const JobSpec& spec);
absl::StatusOr<JobSpec> ParseJobSpec(std::string_view bytes);

}  // namespace muster
