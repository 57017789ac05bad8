// Parameters and contributions for the tests of this folder.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/ring_sum.h"

namespace muster::secagg {

// A session that can be: the scale uses the ring fully.
inline Params SomeParams(uint64_t dimension, uint32_t bits = 32, uint32_t clients = 100) {
  Params params;
  params.dimension = dimension;
  params.ring_bits = bits;
  params.clip = 1.0;
  params.examples_cap = 100;
  params.min_clients = 4;
  params.max_clients = clients;
  params.scale = FullScale(params).value();
  return params;
}

inline UpdateSource SourceOf(const std::vector<float>& update) {
  return [&update](uint64_t offset, std::span<float> out) {
    std::copy_n(update.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    return absl::OkStatus();
  };
}

struct EncodedVector {
  absl::StatusOr<Encoded> encoded = absl::UnknownError("");
  std::vector<uint8_t> bytes;
  std::vector<size_t> pieces;
};

inline EncodedVector Encode(const Params& params, const std::vector<float>& update,
                            const Contribution& contribution, uint64_t seed) {
  EncodedVector result;
  SeededRandom rounding(seed), noise(seed + 1'000'000);
  result.encoded =
      EncodeUpdate(params, contribution, SourceOf(update), rounding, noise,
                   [&result](uint64_t offset, std::span<uint8_t> bytes) {
                     if (offset != result.bytes.size()) return absl::InternalError("order");
                     result.bytes.insert(result.bytes.end(), bytes.begin(), bytes.end());
                     result.pieces.push_back(bytes.size());
                     return absl::OkStatus();
                   });
  return result;
}

inline RingSum SumOf(const Params& params, const std::vector<std::vector<uint8_t>>& vectors) {
  RingSum sum(params.ring_bits, VectorLength(params));
  for (const std::vector<uint8_t>& vector : vectors) {
    sum.AddChunk(0, vector);
    sum.FinishClient();
  }
  return sum;
}

inline int64_t ElementAt(const Params& params, const std::vector<uint8_t>& vector, uint64_t i) {
  return SumOf(params, {vector}).Element(i);
}

inline absl::StatusOr<DecodedSum> Decode(const Params& params, const RingSum& sum,
                                         std::span<float> mean) {
  return DecodeSum(
      params, [&sum](uint64_t i) { return sum.Element(i); }, mean);
}

// The lanes alone.
inline absl::StatusOr<DecodedSum> DecodeLanes(const Params& params, const RingSum& sum) {
  std::vector<float> mean(params.dimension);
  return Decode(params, sum, mean);
}

inline std::vector<float> RandomUpdate(size_t size, double norm, RandomSource& random) {
  std::vector<float> update(size);
  double squares = 0;
  for (float& value : update) {
    value = static_cast<float>(random.Unit() - 0.5);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const double factor = norm / std::sqrt(squares);
  for (float& value : update) value = static_cast<float>(value * factor);
  return update;
}

}  // namespace muster::secagg
