// Flat float32 vectors (little-endian) and server optimizer states as blobs.
#pragma once

#include <vector>

#include "aggregation/optimizer/server_optimizer.h"
#include "coordinator/blobs/blob_store.h"

namespace muster {

absl::StatusOr<Digest> WriteVector(BlobStore& blobs, const std::vector<float>& values);
// DataLoss if the blob has not exactly `size` elements.
absl::StatusOr<std::vector<float>> ReadVector(const BlobStore& blobs, const Digest& digest,
                                              uint64_t size);

// The step count, then the first and second moment; a moment is absent or has `size` elements. A
// state that holds nothing (FedAvg's) is no blob: its digest is empty.
absl::StatusOr<Digest> WriteOptimizerState(BlobStore& blobs, const OptimizerState& state);
absl::StatusOr<OptimizerState> ReadOptimizerState(const BlobStore& blobs, const Digest& digest,
                                                  uint64_t size);

}  // namespace muster
