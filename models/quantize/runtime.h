// The int8 inference runtime: a quantized model file, mapped, executed by XNNPACK on one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

class Int8Model {
 public:
  // InvalidArgument if the file is damaged, NotFound if it is absent.
  static absl::StatusOr<std::unique_ptr<Int8Model>> Open(const std::filesystem::path& path);
  ~Int8Model();

  std::string_view name() const;                  // of the architecture
  std::span<const uint32_t> input_shape() const;  // one example, channels first
  uint64_t input_size() const;                    // its elements
  uint32_t outputs() const;
  uint64_t file_bytes() const;

  // inputs [n, example], outputs [n, outputs()], both row-major float32 and channels first. A value
  // beyond the calibrated range saturates; NaN counts as the lowest. Not thread-safe.
  absl::Status Run(std::span<const float> inputs, size_t n, std::span<float> outputs);

 private:
  struct Impl;
  explicit Int8Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster
