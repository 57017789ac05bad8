// An S3 answer that is no success, as a Status that says what, where and what to do next.
#pragma once

#include "absl/status/status.h"
#include "coordinator/blobs/s3/s3_http.h"

namespace muster {

// The code is Unavailable exactly if another attempt may help. NotFound: there is no such object
// (or multipart upload). Without a bucket: FailedPrecondition.
absl::Status S3Status(const S3Answer& answer, std::string_view call, const S3Options& options);

}  // namespace muster
