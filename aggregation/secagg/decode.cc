#include <cassert>
#include <vector>

#include "aggregation/privacy/hadamard.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/ring_lanes.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

using ElementOf = std::function<int64_t(uint64_t)>;

void ReadValues(const ElementOf& element, double unit, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(static_cast<double>(element(i)) / unit);
  }
}

}  // namespace

absl::StatusOr<DecodedSum> DecodeSum(const Params& params, const ElementOf& element,
                                     std::span<float> mean) {
  assert(mean.size() == params.dimension);
  MUSTER_ASSIGN_OR_RETURN(const LaneUnits units, LaneUnitsOf(params));
  DecodedSum sum;
  sum.weight = static_cast<double>(element(WeightLane(params))) / units.weight;
  if (sum.weight <= 0) {
    return absl::FailedPreconditionError(
        StrCat("the weights of the sum come to ", sum.weight, ": there is no mean of no updates"));
  }
  // No honest client weighs more than 1: what a dishonest one put under its masks cannot be told
  // from the others' parts, and the sum is nothing.
  if (sum.weight > params.max_clients) {
    return absl::FailedPreconditionError(
        StrCat("the weights of the sum come to ", sum.weight, ", more than ", params.max_clients,
               " clients can have: a device sent a vector that is no update"));
  }
  if (params.clip_lane) {
    sum.unclipped = static_cast<double>(element(UnclippedLane(params))) / units.weight;
  }
  for (size_t i = 0; i < params.metrics.size(); ++i) {
    const auto lane = static_cast<double>(element(FirstMetricLane(params) + i));
    sum.metrics[params.metrics[i]] = lane / units.metric / sum.weight;
  }

  const double unit = params.scale * sum.weight;
  if (!params.noise.has_value()) {
    ReadValues(element, unit, mean);
    return sum;
  }
  std::vector<float> rotated(ValueCount(params));
  ReadValues(element, unit, rotated);
  InverseRandomizedHadamard(params.noise->rotation_seed, rotated);
  std::copy_n(rotated.begin(), mean.size(), mean.begin());
  return sum;
}

}  // namespace muster::secagg
