// Rows of numbers with a label column, as comma-separated text (RFC 4180).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "models/data/dataset.h"

namespace muster {

struct CsvOptions {
  // A column's name (with a header), or its index from 0; negative counts from the end, -1 is the
  // last. A name wins over an index.
  std::string label_column;
  bool header = true;  // the first record holds the columns' names
};

// Every column but the label's is a feature, in the file's order: example_shape is [columns - 1].
// Values must be finite numbers; labels whole numbers from 0. Messages give line and column.
absl::StatusOr<std::unique_ptr<ExampleSource>> OpenCsv(const std::filesystem::path& path,
                                                       const CsvOptions& options);

// The index of the label column among `columns` names (with a header) or fields.
absl::StatusOr<size_t> FindLabelColumn(std::span<const std::string> columns,
                                       const CsvOptions& options);

}  // namespace muster
