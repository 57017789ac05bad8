#include <algorithm>
#include <cfloat>
#include <cmath>
#include <vector>

#include "aggregation/secagg/encode_noise.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/ring_lanes.h"
#include "aggregation/secagg/ring_loops.h"
#include "aggregation/secagg/ring_writer.h"
#include "aggregation/sum/lanes.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

// Reads the whole update in order, in parts of up to kChunkElements.
template <typename Use>
absl::Status ForEachChunk(const Params& params, const UpdateSource& update, const Use& use) {
  std::vector<float> buffer(std::min<uint64_t>(params.dimension, kChunkElements));
  for (uint64_t at = 0; at < params.dimension; at += buffer.size()) {
    const auto chunk =
        std::span(buffer).first(std::min<uint64_t>(buffer.size(), params.dimension - at));
    MUSTER_RETURN_IF_ERROR(update(at, chunk));
    const size_t bad = lanes::FindOutOfRange(chunk, FLT_MAX);
    if (bad < chunk.size()) {
      return absl::InvalidArgumentError(
          StrCat("the update has ", std::isnan(chunk[bad]) ? "NaN" : "an infinity", " at index ",
                 at + bad, "; the training that made it diverged"));
    }
    MUSTER_RETURN_IF_ERROR(use(at, chunk));
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Norm(const Params& params, const UpdateSource& update) {
  double squares = 0;
  MUSTER_RETURN_IF_ERROR(
      ForEachChunk(params, update, [&squares](uint64_t, std::span<const float> chunk) {
        squares += SumOfSquares(chunk);
        return absl::OkStatus();
      }));
  return std::sqrt(squares);
}

// w, in (0, 1].
absl::StatusOr<double> WeightOf(const Params& params, const Contribution& contribution) {
  if (!params.weighted) return 1.0;
  if (contribution.examples == 0) {
    return absl::InvalidArgumentError("an update of 0 examples; it counts only from 1 example on");
  }
  const uint64_t counted = std::min(contribution.examples, params.examples_cap);
  return static_cast<double>(counted) / static_cast<double>(params.examples_cap);
}

// In the order of params.metrics, clamped.
absl::StatusOr<std::vector<double>> MetricsOf(const Params& params,
                                              const Contribution& contribution) {
  std::vector<double> values;
  for (const std::string& name : params.metrics) {
    const auto found = contribution.metrics.find(name);
    const double value = found == contribution.metrics.end() ? 0.0 : found->second;
    if (std::isnan(value)) {
      return absl::InvalidArgumentError(StrCat("metric ", name, " is not a number"));
    }
    values.push_back(std::clamp(value, -kMetricLimit, kMetricLimit));
  }
  return values;
}

// floor(x + u) for uniform u: x on average.
int64_t RoundLane(double x, double bound, RandomSource& rounding) {
  return static_cast<int64_t>(std::clamp(std::floor(x + rounding.Unit()), -bound, bound));
}

}  // namespace

absl::StatusOr<Encoded> EncodeUpdate(const Params& params, const Contribution& contribution,
                                     const UpdateSource& update, RandomSource& rounding,
                                     RandomSource& noise, const RingSink& sink) {
  MUSTER_RETURN_IF_ERROR(CheckParams(params));
  MUSTER_ASSIGN_OR_RETURN(const LaneUnits units, LaneUnitsOf(params));
  MUSTER_ASSIGN_OR_RETURN(const double weight, WeightOf(params, contribution));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<double> metrics, MetricsOf(params, contribution));
  Encoded encoded;
  MUSTER_ASSIGN_OR_RETURN(encoded.norm, Norm(params, update));
  encoded.clipped = encoded.norm > params.clip;
  const double shrink = encoded.clipped ? params.clip / encoded.norm : 1.0;

  RingWriter writer(params, sink);
  if (params.noise.has_value()) {
    NoisyValues values(params, shrink);
    MUSTER_RETURN_IF_ERROR(
        ForEachChunk(params, update, [&values](uint64_t at, std::span<const float> chunk) {
          values.Set(at, chunk);
          return absl::OkStatus();
        }));
    MUSTER_RETURN_IF_ERROR(std::move(values).WriteTo(writer, units.largest, rounding, noise));
  } else {
    const double factor = params.scale * weight * shrink;
    MUSTER_RETURN_IF_ERROR(
        ForEachChunk(params, update, [&](uint64_t, std::span<const float> chunk) {
          return writer.AppendRounded(chunk, factor, units.largest, rounding);
        }));
  }

  MUSTER_RETURN_IF_ERROR(writer.Append(RoundLane(units.weight * weight, units.largest, rounding)));
  if (params.clip_lane) {
    MUSTER_RETURN_IF_ERROR(writer.Append(encoded.clipped ? 0 : static_cast<int64_t>(units.weight)));
  }
  for (const double metric : metrics) {
    MUSTER_RETURN_IF_ERROR(
        writer.Append(RoundLane(units.metric * weight * metric, units.largest, rounding)));
  }
  MUSTER_RETURN_IF_ERROR(writer.Finish());
  return encoded;
}

}  // namespace muster::secagg
