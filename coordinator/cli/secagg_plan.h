// What a round of secure aggregation costs, before anything runs: the graph, the bytes of each
// exchange, the masks of each side.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "aggregation/secagg/finder.h"

namespace muster::cli {

struct PhaseBytes {
  std::string_view phase;
  uint64_t up = 0, down = 0;  // of one client
};

struct SecAggPlan {
  secagg::GraphPlan graph;
  uint64_t vector_bytes = 0;
  uint64_t magnitude = 0;  // the clip, in ring units: updates are rounded to clip / magnitude
  std::vector<PhaseBytes> phases;
  uint64_t up = 0, down = 0;  // of one client, in all
  // Keystreams as long as the vector: what a client adds, and what the coordinator takes off again
  // when as many drop out as may.
  uint64_t client_masks = 0, coordinator_masks = 0;
};

// Bytes are those of wire messages with certificates of a usual size. FailedPrecondition where no
// graph is safe, InvalidArgument where the ring is too small for so many clients.
absl::StatusOr<SecAggPlan> MakeSecAggPlan(const secagg::Assumptions& assumptions,
                                          uint64_t parameters, uint32_t ring_bits);

// How fast one core of this machine masks, measured within some 20 ms.
struct MaskSpeed {
  std::string_view kernel;
  double bytes_per_second = 0;  // of keystream
};
MaskSpeed MeasureMasking(uint32_t ring_bits);

}  // namespace muster::cli
