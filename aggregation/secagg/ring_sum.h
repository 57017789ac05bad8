// The sum of masked vectors in Z_2^b: addition wraps, so order, chunks and trees of partial sums do
// not matter. Memory is one vector, whatever the number of clients. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "aggregation/sum/weighted_sum.h"

namespace muster::secagg {

class RingSum {
 public:
  RingSum(uint32_t ring_bits, uint64_t length);  // bits 16, 32 or 64; length in elements

  uint32_t ring_bits() const { return bits_; }
  uint64_t length() const;
  uint64_t clients() const { return clients_; }

  // One client's part from byte `offset` on: whole elements. Add every part once, then
  // FinishClient.
  void AddChunk(uint64_t offset, std::span<const uint8_t> chunk);
  void FinishClient() { ++clients_; }
  absl::Status MergeFrom(const RingSum& other);

  std::span<uint8_t> bytes() { return bytes_; }  // for unmasking
  std::span<const uint8_t> bytes() const { return bytes_; }
  int64_t Element(uint64_t index) const;  // sign-extended

  // A versioned header, then the elements; strict reading like WeightedSum's.
  absl::Status WriteTo(const ByteSink& sink) const;
  static absl::StatusOr<RingSum> ReadFrom(const ByteSource& source, uint32_t expected_bits,
                                          uint64_t expected_length);
  // Adds the clients of a sum in that form, piece by piece; after an error this sum is void.
  absl::Status MergeStream(const ByteSource& source);
  friend bool operator==(const RingSum&, const RingSum&) = default;

 private:
  uint32_t bits_ = 32;
  uint64_t clients_ = 0;
  std::vector<uint8_t> bytes_;
};

}  // namespace muster::secagg
