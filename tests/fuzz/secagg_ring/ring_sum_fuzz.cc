// Whatever the bytes: reading refuses them or gives a sum that writes the same bytes again and can
// be used. The first two bytes say what the reader expects.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "aggregation/secagg/ring_sum.h"

namespace {

using muster::secagg::RingSum;

std::string Written(const RingSum& sum) {
  std::string bytes;
  const absl::Status status = sum.WriteTo([&bytes](std::string_view piece) {
    bytes.append(piece);
    return absl::OkStatus();
  });
  if (!status.ok()) std::abort();
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  constexpr uint32_t kBits[] = {16, 32, 64};
  const uint32_t bits = kBits[data[0] % 3];
  const uint64_t length = data[1];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::string_view left = bytes;
  const muster::ByteSource source = [&left](std::span<char> buffer) -> absl::StatusOr<size_t> {
    const size_t n = std::min(buffer.size(), left.size());
    std::copy_n(left.begin(), n, buffer.begin());
    left.remove_prefix(n);
    return n;
  };
  auto sum = RingSum::ReadFrom(source, bits, length);
  if (!sum.ok()) return 0;
  if (sum->ring_bits() != bits || sum->length() != length) std::abort();
  if (Written(*sum) != bytes) std::abort();
  RingSum twice = *sum;
  if (!twice.MergeFrom(*sum).ok()) std::abort();
  for (uint64_t i = 0; i < length; ++i) {
    const uint64_t doubled = 2 * static_cast<uint64_t>(sum->Element(i));
    if (((doubled ^ static_cast<uint64_t>(twice.Element(i))) << (64 - bits)) != 0) std::abort();
  }
  return 0;
}
