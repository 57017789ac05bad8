// Ring elements in order, handed to a sink in large pieces.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "aggregation/secagg/ring.h"

namespace muster::secagg {

inline constexpr size_t kChunkElements = 32'768;  // 64 to 256 KB

class RingWriter {
 public:
  // `sink` outlives it.
  RingWriter(const Params& params, const RingSink& sink);

  absl::Status Append(int64_t element);  // modulo 2^bits
  // values[i] * factor within [-bound, bound], an integer, rounded up or down at random so that the
  // average is right.
  absl::Status AppendRounded(std::span<const float> values, double factor, double bound,
                             RandomSource& rounding);
  absl::Status Finish();  // what is left

 private:
  std::span<uint8_t> Room(size_t elements) {
    return std::span(buffer_).subspan(used_, elements * element_bytes_);
  }
  absl::Status Took(size_t elements);  // flushes a full buffer
  absl::Status Flush();

  const uint32_t bits_;
  const size_t element_bytes_;
  const RingSink& sink_;
  std::vector<uint8_t> buffer_;
  size_t used_ = 0;       // bytes
  uint64_t written_ = 0;  // bytes
  std::vector<uint32_t> random_;
};

}  // namespace muster::secagg
