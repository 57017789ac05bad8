// A folder of tensors, as two lines of NumPy write it:
//   shape.json  {"shape": [9, 128]}  one example's shape, without the number of examples
//   x.f32       little-endian float32 [n, shape...]
//   y.i64       little-endian int64 [n]
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

inline constexpr size_t kMaxShapeJsonBytes = 4096;
inline constexpr size_t kMaxExampleRank = 3;

// The content of shape.json. InvalidArgument says what is wrong, not in which file.
absl::StatusOr<std::vector<uint32_t>> ParseShapeJson(std::string_view json);

absl::StatusOr<std::unique_ptr<ExampleSource>> OpenTensors(const std::filesystem::path& directory);

}  // namespace muster
