// The sum of clients' updates, each times its weight (its number of examples), and their mean: the
// aggregation step of Federated Averaging (McMahan et al. 2017, algorithm 1).
//
// Lanes are 64-bit fixed-point integers, so that addition is exact and its order never matters: any
// order of arrival, any cut into chunks and any tree of partial sums gives the same bytes. A value
// counts as round(delta * weight * 2^24), to the nearest, ties to even: the mean is exact to 2^-25
// before it is rounded to float32.
//
// No overflow is possible: |delta| <= 2^10 and the weights sum to less than 2^29, so that no lane
// reaches 2^(10 + 29 + 24) = 2^63.
//
// Memory is 8 bytes per parameter, whatever the number of clients. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

inline constexpr float kMaxDelta = 1024.0f;                    // magnitude of one value
inline constexpr uint64_t kMaxTotalWeight = (1ull << 29) - 1;  // of all clients in one sum

// Takes the next bytes, in order.
using ByteSink = std::function<absl::Status(std::string_view)>;
// Fills the front of `buffer` and returns how many bytes it wrote; 0 only at the end.
using ByteSource = std::function<absl::StatusOr<size_t>(std::span<char> buffer)>;

class WeightedSum {
 public:
  explicit WeightedSum(uint64_t size) : lanes_(size, 0) {}  // parameters

  uint64_t size() const { return lanes_.size(); }
  uint64_t total_weight() const { return total_weight_; }
  uint64_t clients() const { return clients_; }

  // Whether a client of this weight fits: InvalidArgument for weight 0, ResourceExhausted if the
  // weights would sum to more than kMaxTotalWeight.
  absl::Status CanAdd(uint64_t weight) const;

  // One client's whole update, [size]. All or nothing: InvalidArgument for a wrong size, and for
  // the first NaN, infinity or value beyond kMaxDelta, with its index; CanAdd's errors.
  absl::Status Add(std::span<const float> delta, uint64_t weight);

  // The same in parts, for updates that are too large to hold. First check every part with
  // CheckFinite and the weight with CanAdd; then AddChunk every part exactly once; then
  // FinishClient. `offset` is where the part starts, in elements. Broken order or range stops the
  // process.
  static absl::Status CheckFinite(std::span<const float> chunk, uint64_t offset);
  void AddChunk(uint64_t offset, std::span<const float> chunk, uint64_t weight);
  void FinishClient(uint64_t weight);

  // sum / total_weight as float32, from element `offset` on. FailedPrecondition without clients.
  absl::Status Mean(std::span<float> out) const;  // [size]
  absl::Status Mean(uint64_t offset, std::span<float> out) const;

  // Adds the clients of `other`. All or nothing: InvalidArgument for another size,
  // ResourceExhausted above kMaxTotalWeight.
  absl::Status MergeFrom(const WeightedSum& other);

  // A versioned binary form, the same bytes for the same sum: a header of 40 bytes, then the lanes,
  // all little-endian. Reading is strict: InvalidArgument for anything that no sum can have
  // written.
  std::string Serialize() const;
  static absl::StatusOr<WeightedSum> Parse(std::string_view bytes);
  uint64_t SerializedSize() const;  // bytes

  // The same without a second copy of the sum in memory. The reader knows how many parameters to
  // expect, so no header can make it reserve more.
  absl::Status WriteTo(const ByteSink& sink) const;
  static absl::StatusOr<WeightedSum> ReadFrom(const ByteSource& source, uint64_t expected_size);

  // Adds the clients of a sum in that form, piece by piece. InvalidArgument as ReadFrom,
  // ResourceExhausted as MergeFrom; after an error this sum is void.
  absl::Status MergeStream(const ByteSource& source);

  friend bool operator==(const WeightedSum&, const WeightedSum&) = default;

 private:
  std::vector<int64_t> lanes_;
  uint64_t total_weight_ = 0;
  uint64_t clients_ = 0;
};

// The mean over the clients of sums in that form, [size], the same to the byte as if they were
// merged first; but no sum is ever held: memory is a piece of each part. InvalidArgument as
// ReadFrom, OutOfRange above kMaxTotalWeight, FailedPrecondition without clients; after an error
// `out` is void.
absl::Status MeanOfParts(std::span<const ByteSource> parts, std::span<float> out);

}  // namespace muster
