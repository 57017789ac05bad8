// Partial sums as blobs, streamed in both directions.
#pragma once

#include <memory>

#include "aggregation/sum/weighted_sum.h"
#include "coordinator/blobs/blob_store.h"

namespace muster {

absl::StatusOr<Digest> WriteSum(BlobStore& blobs, const WeightedSum& sum);
// DataLoss if the blob is no sum of `size` elements.
absl::StatusOr<std::unique_ptr<WeightedSum>> ReadSum(const BlobStore& blobs, const Digest& digest,
                                                     uint64_t size);

}  // namespace muster
