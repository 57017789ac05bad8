#include "aggregation/sum/weighted_sum.h"

#include <cassert>
#include <cmath>

#include "aggregation/sum/lanes.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

// Every term is at most 2^34 per unit of weight, so this product bounds every lane.
static_assert(static_cast<uint64_t>(kMaxDelta) << lanes::kFractionBits == 1ull << 34);
static_assert(kMaxTotalWeight < (1ull << 63) >> 34);

absl::Status CheckRange(uint64_t offset, uint64_t count, uint64_t size) {
  if (offset <= size && count <= size - offset) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("elements ", offset, " to ", offset + count, " are not within the sum's ", size));
}

}  // namespace

absl::Status WeightedSum::CanAdd(uint64_t weight) const {
  if (weight == 0) {
    return absl::InvalidArgumentError("an update has weight 0; it counts only from 1 example on");
  }
  if (weight > kMaxTotalWeight - total_weight_) {
    return absl::ResourceExhaustedError(
        StrCat("an update of weight ", weight, " takes the round's total above the limit of ",
               kMaxTotalWeight, "; it is ", total_weight_,
               " already: lower the examples per update or the clients per round"));
  }
  return absl::OkStatus();
}

absl::Status WeightedSum::CheckFinite(std::span<const float> chunk, uint64_t offset) {
  const size_t bad = lanes::FindOutOfRange(chunk, kMaxDelta);
  if (bad == chunk.size()) return absl::OkStatus();
  const float value = chunk[bad];
  if (!std::isfinite(value)) {
    return absl::InvalidArgumentError(
        StrCat("the update has ", std::isnan(value) ? "NaN" : "an infinity", " at index ",
               offset + bad, "; the training that made it diverged"));
  }
  return absl::InvalidArgumentError(StrCat("the update has ", value, " at index ", offset + bad,
                                           "; values beyond ", kMaxDelta,
                                           " in magnitude are refused"));
}

absl::Status WeightedSum::Add(std::span<const float> delta, uint64_t weight) {
  if (delta.size() != size()) {
    return absl::InvalidArgumentError(StrCat(
        "the update has ", delta.size(), " values, but the model shares ", size(), " parameters"));
  }
  MUSTER_RETURN_IF_ERROR(CanAdd(weight));
  MUSTER_RETURN_IF_ERROR(CheckFinite(delta, 0));
  AddChunk(0, delta, weight);
  FinishClient(weight);
  return absl::OkStatus();
}

void WeightedSum::AddChunk(uint64_t offset, std::span<const float> chunk, uint64_t weight) {
  assert(CheckRange(offset, chunk.size(), size()).ok());
  assert(CanAdd(weight).ok());
  lanes::AddScaled(std::span(lanes_).subspan(offset, chunk.size()), chunk, weight);
}

void WeightedSum::FinishClient(uint64_t weight) {
  assert(CanAdd(weight).ok());
  total_weight_ += weight;
  ++clients_;
}

absl::Status WeightedSum::Mean(std::span<float> out) const {
  if (out.size() != size()) {
    return absl::InvalidArgumentError(
        StrCat("the mean has ", size(), " values, but there is room for ", out.size()));
  }
  return Mean(0, out);
}

absl::Status WeightedSum::Mean(uint64_t offset, std::span<float> out) const {
  MUSTER_RETURN_IF_ERROR(CheckRange(offset, out.size(), size()));
  if (total_weight_ == 0) {
    return absl::FailedPreconditionError("there is no mean of no updates; add at least one");
  }
  lanes::Mean(std::span(lanes_).subspan(offset, out.size()), total_weight_, out);
  return absl::OkStatus();
}

absl::Status WeightedSum::MergeFrom(const WeightedSum& other) {
  if (other.size() != size()) {
    return absl::InvalidArgumentError(
        StrCat("a partial sum over ", other.size(), " parameters cannot join one over ", size()));
  }
  if (other.clients_ == 0) return absl::OkStatus();
  MUSTER_RETURN_IF_ERROR(CanAdd(other.total_weight_));
  lanes::AddLanes(lanes_, other.lanes_);
  total_weight_ += other.total_weight_;
  clients_ += other.clients_;
  return absl::OkStatus();
}

}  // namespace muster
