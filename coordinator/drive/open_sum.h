// A round's durable sum, opened: masks off, noise on, divided.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "coordinator/drive/context.h"

namespace muster {

struct OpenedSum {
  std::vector<float> mean;  // update, [shared parameters]
  uint64_t examples = 0;
  Metrics metrics;       // weighted means over the clients
  double next_clip = 0;  // where adaptive clipping goes from here; 0: unchanged
};

// FailedPrecondition or DataLoss where it can never be opened: shares that fail, a broken blob.
// Without differential privacy the same rows and blobs give the same result every time. `parts` are
// the blobs of the round's partial sums, of every replica.
absl::StatusOr<OpenedSum> OpenSum(DriveContext& context, const RoundRecord& round,
                                  const JobRecord& job, std::span<const Digest> parts);

}  // namespace muster
