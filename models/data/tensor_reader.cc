#include "models/data/tensor_reader.h"

#include <bit>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "models/data/open_file.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little,
              "the files are little-endian and are read without swapping bytes");

constexpr size_t kLabelsPerRead = 8192;

absl::StatusOr<uint64_t> FileSize(const fs::path& path, std::string_view what) {
  MUSTER_RETURN_IF_ERROR(CheckRegularFile(path, what));
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  if (error) return absl::UnavailableError(StrCat(path.string(), ": ", error.message()));
  return size;
}

absl::Status Unreadable(const fs::path& path) {
  return absl::UnavailableError(
      StrCat("cannot read ", path.string(), ": check its permissions and the disk"));
}

absl::StatusOr<std::vector<int64_t>> ReadLabels(const fs::path& path) {
  MUSTER_ASSIGN_OR_RETURN(uint64_t bytes, FileSize(path, "tensor labels"));
  if (bytes == 0 || bytes % sizeof(int64_t) != 0) {
    return absl::DataLossError(StrCat(path.string(), " has ", bytes,
                                      " bytes, which is not a number of int64 labels: write "
                                      "it again as little-endian int64"));
  }
  const uint64_t n = bytes / sizeof(int64_t);
  if (n > kMaxDatasetExamples) {
    return absl::ResourceExhaustedError(StrCat(path.string(), " has ", n, " labels; at most ",
                                               kMaxDatasetExamples, ": split the data"));
  }
  std::ifstream in(path, std::ios::binary);
  std::vector<int64_t> labels(n);
  for (uint64_t at = 0; at < n; at += kLabelsPerRead) {
    const uint64_t count = std::min<uint64_t>(kLabelsPerRead, n - at);
    if (!in.read(reinterpret_cast<char*>(&labels[at]),
                 static_cast<std::streamsize>(count * sizeof(int64_t)))) {
      return Unreadable(path);
    }
  }
  for (uint64_t row = 0; row < n; ++row) {
    if (labels[row] >= 0 && labels[row] < kMaxClasses) continue;
    return absl::InvalidArgumentError(StrCat(path.string(), " has label ", labels[row], " in row ",
                                             row, ": use 0 to ", kMaxClasses - 1,
                                             " (is it little-endian int64?)"));
  }
  return labels;
}

class TensorSource final : public ExampleSource {
 public:
  TensorSource(fs::path features, std::vector<uint32_t> shape, std::vector<int64_t> labels,
               size_t example_size)
      : path_(std::move(features)),
        shape_(std::move(shape)),
        labels_(std::move(labels)),
        example_size_(example_size) {}

  const std::vector<uint32_t>& example_shape() const override { return shape_; }
  const std::vector<int64_t>& labels() const override { return labels_; }

  absl::Status VisitRows(std::span<const uint64_t> rows, Visitor visit) const override {
    std::ifstream in(path_, std::ios::binary);
    std::vector<float> features(example_size_);
    const auto bytes = static_cast<std::streamsize>(example_size_ * sizeof(float));
    uint64_t next = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      // Seeking drops the stream's buffer, so runs of neighbours are read without it.
      if (rows[i] != next) in.seekg(static_cast<std::streamoff>(rows[i]) * bytes);
      if (!in.read(reinterpret_cast<char*>(features.data()), bytes)) return Unreadable(path_);
      for (size_t element = 0; element < example_size_; ++element) {
        if (std::isfinite(features[element])) continue;
        return absl::InvalidArgumentError(StrCat(path_.string(), " row ", rows[i], ", element ",
                                                 element, " is ", features[element],
                                                 ", not a finite number: fix or remove the row"));
      }
      visit(i, features);
      next = rows[i] + 1;
    }
    return absl::OkStatus();
  }

 private:
  fs::path path_;
  std::vector<uint32_t> shape_;
  std::vector<int64_t> labels_;
  size_t example_size_;
};

}  // namespace

absl::StatusOr<std::vector<uint32_t>> ParseShapeJson(std::string_view json) {
  static constexpr std::string_view kExpected = "expected {\"shape\": [d1, ...]} of one example";
  if (json.size() > kMaxShapeJsonBytes) {
    return absl::InvalidArgumentError(
        StrCat("is longer than ", kMaxShapeJsonBytes, " bytes; ", kExpected));
  }
  const auto root = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded() || !root.is_object() || !root.contains("shape") ||
      !root["shape"].is_array()) {
    return absl::InvalidArgumentError(StrCat("is not valid; ", kExpected));
  }
  if (root.size() != 1) {
    return absl::InvalidArgumentError(StrCat("has more than \"shape\"; ", kExpected));
  }
  const auto& dimensions = root["shape"];
  if (dimensions.empty() || dimensions.size() > kMaxExampleRank) {
    return absl::InvalidArgumentError(StrCat("has ", dimensions.size(), " dimensions; use 1 to ",
                                             kMaxExampleRank, ", without the number of examples"));
  }
  std::vector<uint32_t> shape;
  uint64_t elements = 1;
  for (const auto& dimension : dimensions) {
    const uint64_t value = dimension.is_number_unsigned() ? dimension.get<uint64_t>() : 0;
    if (value == 0 || value > kMaxExampleElements || elements * value > kMaxExampleElements) {
      return absl::InvalidArgumentError(
          StrCat("has a dimension that is not a whole number from 1, or more than ",
                 kMaxExampleElements, " elements in all; ", kExpected));
    }
    elements *= value;
    shape.push_back(static_cast<uint32_t>(value));
  }
  return shape;
}

absl::StatusOr<std::unique_ptr<ExampleSource>> OpenTensors(const fs::path& directory) {
  if (directory.empty()) {
    return absl::InvalidArgumentError("tensors: no folder given: name it in the device's config");
  }
  const fs::path shape_file = directory / "shape.json";
  MUSTER_RETURN_IF_ERROR(CheckRegularFile(shape_file, "tensor shape"));
  MUSTER_ASSIGN_OR_RETURN(std::string json, ReadFile(shape_file, kMaxShapeJsonBytes));
  absl::StatusOr<std::vector<uint32_t>> shape = ParseShapeJson(json);
  if (!shape.ok()) return Annotate(shape.status(), shape_file.string());
  uint64_t elements = 1;
  for (uint32_t dimension : *shape) elements *= dimension;

  MUSTER_ASSIGN_OR_RETURN(std::vector<int64_t> labels, ReadLabels(directory / "y.i64"));
  const fs::path features = directory / "x.f32";
  MUSTER_ASSIGN_OR_RETURN(uint64_t bytes, FileSize(features, "tensor features"));
  const uint64_t expected = labels.size() * elements * sizeof(float);
  if (bytes != expected) {
    const std::string message = StrCat(
        features.string(), " has ", bytes, " bytes but ", labels.size(),
        " labels with examples of [", StrJoin(*shape, ", "), "] need ", expected,
        ": write it again as little-endian float32, and shape.json without the number of examples");
    return bytes < expected ? absl::DataLossError(message) : absl::InvalidArgumentError(message);
  }
  return std::make_unique<TensorSource>(features, *std::move(shape), std::move(labels),
                                        static_cast<size_t>(elements));
}

}  // namespace muster
