// The durable sum of one round, in the clear or masked, behind one interface: each replica's intake
// adds staged uploads to a part of its own, and a blob keeps that between commits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "aggregation/secagg/ring_sum.h"
#include "aggregation/sum/weighted_sum.h"
#include "coordinator/blobs/blob_store.h"
#include "coordinator/store/state_store.h"
#include "proto/core/random.h"

namespace muster {

struct SumShape {
  bool masked = false;
  uint64_t elements = 0;   // parameters, or ring elements
  uint32_t ring_bits = 0;  // masked
  uint64_t UploadBytes() const { return elements * (masked ? ring_bits / 8 : sizeof(float)); }
};
absl::StatusOr<SumShape> ShapeOf(const StoreReader& reader, const RoundRecord& round);

// OK, or InvalidArgument with why the upload can never be part of such a sum. Reads a clear one
// through; of a masked vector nothing can be said but its length.
absl::Status CheckUpload(const BlobReader& staged, const SumShape& shape);

class RoundSum {
 public:
  virtual ~RoundSum() = default;
  virtual absl::Status CanAdd(uint64_t weight) const = 0;
  // Adds a whole upload. After an error the sum is void.
  virtual absl::Status Add(const BlobReader& staged, uint64_t weight) = 0;
  // The blob begins with a salt, so that no two writes ever share one: whoever deletes his own
  // deletes nobody else's, also where two sums are equal.
  virtual absl::StatusOr<Digest> WriteTo(BlobStore& blobs, RandomSource& random) const = 0;
};

// An empty sum, or the one that `durable` names. DataLoss if the blob is no sum of this shape.
absl::StatusOr<std::unique_ptr<RoundSum>> OpenRoundSum(const BlobStore& blobs, SumShape shape,
                                                       const Digest& durable);

// What finalization needs of all the parts. A mean is read off them slice by slice; masks come off
// the whole sum, so that is held, however many parts.
absl::Status ReadClearMean(const BlobStore& blobs, std::span<const Digest> parts,
                           std::span<float> mean);  // [shared parameters]
absl::StatusOr<secagg::RingSum> ReadMaskedSum(const BlobStore& blobs, std::span<const Digest> parts,
                                              uint32_t ring_bits, uint64_t elements);

}  // namespace muster
