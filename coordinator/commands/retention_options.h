// The options of a retention policy, for `gc` and `serve`.
#pragma once

#include "coordinator/commands/command.h"
#include "coordinator/upkeep/garbage.h"

namespace muster::commands {

void AddRetentionOptions(boost::program_options::options_description& options);
// InvalidArgument for what cannot be.
absl::StatusOr<GarbagePolicy> RetentionFrom(const CommandLine& line);

}  // namespace muster::commands
