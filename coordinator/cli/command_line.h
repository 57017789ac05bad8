// The command line: which command, with what. Global options stand before or after its words.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/command.h"

namespace muster::cli {

struct CommandLine {
  const Command* command = nullptr;  // null: the program itself was asked, as by `muster --help`
  std::string group;                 // "jobs" for `muster jobs --help`
  Arguments arguments;
};

// InvalidArgument for unknown commands and options (with the nearest), missing values, and too few
// or too many operands.
absl::StatusOr<CommandLine> ParseCommandLine(std::span<const std::string> words,
                                             std::span<const Command> commands);

}  // namespace muster::cli
