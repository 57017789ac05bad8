// `serve`: what a coordinator takes on at most, and when it ends for want of work.
#pragma once

#include <boost/program_options.hpp>

#include "absl/status/status.h"
#include "coordinator/commands/command.h"
#include "coordinator/serve.h"

namespace muster::commands {

// Most are read into `serve` as they are parsed.
boost::program_options::options_description LimitOptions(ServeOptions& serve);
// The rest; InvalidArgument for values that make no sense.
absl::Status ReadLimits(const CommandLine& line, ServeOptions& serve);

}  // namespace muster::commands
