// What a downloaded package says that it holds.
#pragma once

#include <filesystem>
#include <string_view>

#include "absl/status/statusor.h"
#include "models/package/package.h"

namespace muster::cli {

// Reads the resources out of a package's bytes, which the caller knows to be what the coordinator
// named: their digest agreed. With a key file (PEM), the signature is verified first; without one
// it is not, and is left to the devices. Either way the package is valid: its names are safe paths.
absl::StatusOr<Package> ReadPackage(std::string_view bytes, const std::filesystem::path& key_file);

}  // namespace muster::cli
