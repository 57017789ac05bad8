// From a trained update to the masked vector: float32 in, ring elements out, in one stream, so that
// a device needs memory for a tile and not for the model.
#pragma once

#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"
#include "aggregation/secagg/mask.h"
#include "aggregation/secagg/ring.h"
#include "proto/core/digest.h"

namespace muster {

struct MaskedVector {
  Digest digest;
  Metering cost;  // time, and the bytes that are to be uploaded
};

// Encodes `update` (float32[params.dimension], little-endian), masks it, and leaves it durably in
// `vector`. InvalidArgument: the update cannot take part, such as one with NaN. Else the disk.
absl::StatusOr<MaskedVector> WriteMasked(const secagg::Params& params,
                                         const secagg::Contribution& contribution,
                                         const std::filesystem::path& update,
                                         std::vector<secagg::SignedMask> masks,
                                         RandomSource& rounding, RandomSource& noise,
                                         const std::filesystem::path& vector);

}  // namespace muster
