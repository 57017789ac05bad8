// StagingArea in an S3-compatible store, beside an S3Blobs of the same client. Any process may go
// on with any upload, at every call: what is durable is known by the keys alone (staged_keys.h).
//
// What was appended waits in memory until it makes a part, or until Flush. Of all uploads together
// at most options.staging_memory bytes wait; beyond that parts are written smaller than planned.
// Processes do not see each other's reservations until an upload's first bytes are durable, so an
// owner who begins many uploads at once at several processes may get its limit once at each.
#pragma once

#include <memory>

#include "coordinator/blobs/s3/s3_client.h"
#include "coordinator/blobs/staging.h"
#include "proto/core/time.h"

namespace muster {

// What it writes is sealed with `keys`, which all processes share; what is not sealed is no
// upload's. Null: nothing is sealed.
std::unique_ptr<StagingArea> OpenS3Staging(std::shared_ptr<S3Client> client,
                                           StagingLimits limits = {},
                                           std::shared_ptr<const AtRestKeys> keys = nullptr);

}  // namespace muster
