// What every reader checks before it opens a file.
#pragma once

#include <filesystem>
#include <string_view>

#include "absl/status/status.h"

namespace muster {

// NotFound if nothing is there, InvalidArgument for an empty path, a folder or another non-file.
// `what` names the setting for the message: "IDX images".
absl::Status CheckRegularFile(const std::filesystem::path& path, std::string_view what);

}  // namespace muster
