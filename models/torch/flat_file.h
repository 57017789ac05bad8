// float32 vectors as files: little-endian, nothing else in them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "absl/status/status.h"

namespace muster {

// Fills `values`. NotFound, or InvalidArgument when the file has another size than 4 x
// values.size().
absl::Status ReadFloats(const std::filesystem::path& path, std::span<float> values);

// Replaces the file. Not flushed to the disk: whoever keeps it does that.
absl::Status WriteBytes(const std::filesystem::path& path, std::string_view bytes);
absl::Status WriteFloats(const std::filesystem::path& path, std::span<const float> values);

}  // namespace muster
