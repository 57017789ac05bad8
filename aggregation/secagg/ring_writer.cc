#include "aggregation/secagg/ring_writer.h"

#include <algorithm>

#include "aggregation/secagg/ring_loops.h"
#include "proto/core/status.h"

namespace muster::secagg {

RingWriter::RingWriter(const Params& params, const RingSink& sink)
    : bits_(params.ring_bits),
      element_bytes_(params.ring_bits / 8),
      sink_(sink),
      buffer_(std::min<uint64_t>(VectorLength(params), kChunkElements) * element_bytes_) {}

absl::Status RingWriter::Append(int64_t element) {
  StoreElement(bits_, element, Room(1).data());
  return Took(1);
}

absl::Status RingWriter::AppendRounded(std::span<const float> values, double factor, double bound,
                                       RandomSource& rounding) {
  while (!values.empty()) {
    const size_t n = std::min(values.size(), (buffer_.size() - used_) / element_bytes_);
    random_.resize(n);
    rounding.Fill({reinterpret_cast<uint8_t*>(random_.data()), n * sizeof(uint32_t)});
    RoundElements(bits_, values.first(n), factor, bound, random_, Room(n));
    MUSTER_RETURN_IF_ERROR(Took(n));
    values = values.subspan(n);
  }
  return absl::OkStatus();
}

absl::Status RingWriter::Took(size_t elements) {
  used_ += elements * element_bytes_;
  return used_ == buffer_.size() ? Flush() : absl::OkStatus();
}

absl::Status RingWriter::Flush() {
  MUSTER_RETURN_IF_ERROR(sink_(written_, std::span(buffer_).first(used_)));
  written_ += used_;
  used_ = 0;
  return absl::OkStatus();
}

absl::Status RingWriter::Finish() { return used_ == 0 ? absl::OkStatus() : Flush(); }

}  // namespace muster::secagg
