#include "models/data/dataset.h"

#include <string>
#include <system_error>

#include "models/data/open_file.h"
#include "proto/core/strings.h"

namespace muster {

size_t Dataset::example_size() const {
  size_t size = 1;
  for (uint32_t dimension : example_shape) size *= dimension;
  return size;
}

std::vector<uint64_t> CountLabels(const Dataset& dataset) {
  std::vector<uint64_t> counts;
  for (int64_t label : dataset.labels) {
    const auto index = static_cast<size_t>(label);
    if (index >= counts.size()) counts.resize(index + 1);
    ++counts[index];
  }
  return counts;
}

absl::Status CheckRegularFile(const std::filesystem::path& path, std::string_view what) {
  if (path.empty()) {
    return absl::InvalidArgumentError(
        StrCat(what, ": no path given: name the file in the device's config"));
  }
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return absl::NotFoundError(StrCat(what, ": there is no file ", path.string(),
                                      ": check the path in the device's config"));
  }
  if (error) {
    return absl::UnavailableError(
        StrCat(what, ": cannot look at ", path.string(), ": ", error.message()));
  }
  if (!std::filesystem::is_regular_file(status)) {
    return absl::InvalidArgumentError(
        StrCat(what, ": ", path.string(), " is not a regular file: name a file"));
  }
  return absl::OkStatus();
}

}  // namespace muster
