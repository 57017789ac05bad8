// What `muster-client status` tells, read from state_dir alone; works while the agent runs and
// while it does not.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"

namespace muster {

struct StatusText {
  std::string json;   // one object
  std::string human;  // lines for a terminal
};

// NotFound: the device is not enrolled.
absl::StatusOr<StatusText> DescribeStatus(const std::filesystem::path& state_dir);

}  // namespace muster
