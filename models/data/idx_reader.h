// IDX, the format of MNIST (LeCun, Cortes, Burges) and its successors: a big-endian header, then
// unsigned bytes. Gzip or plain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "models/data/dataset.h"

namespace muster {

inline constexpr size_t kMaxIdxDimensions = 3;
inline constexpr size_t kMaxIdxHeaderBytes = 4 + 4 * kMaxIdxDimensions;

struct IdxHeader {
  std::vector<uint32_t> dimensions;  // [n] for labels, [n, height, width] for images
  size_t bytes() const { return 4 + 4 * dimensions.size(); }
};

// The header at the start of `bytes`, which may go on behind it. Accepts unsigned bytes with one
// dimension or three; InvalidArgument for another type or rank, zero or oversized dimensions;
// DataLoss if `bytes` ends within the header. Messages say what was found, not in which file.
absl::StatusOr<IdxHeader> ParseIdxHeader(std::string_view bytes);

// Images become float [1, height, width] in [0, 1]: byte / 255.
absl::StatusOr<std::unique_ptr<ExampleSource>> OpenIdx(const std::filesystem::path& images,
                                                       const std::filesystem::path& labels);

}  // namespace muster
