// Manual pages, from what the commands say about themselves.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "coordinator/cli/command.h"

namespace muster::cli {

inline constexpr size_t kManualWidth = 80;

std::string ProgramManual(std::span<const Command> commands);
// The commands that begin with `group`, such as "jobs".
std::string GroupManual(std::string_view group, std::span<const Command> commands);
std::string CommandManual(const Command& command);

// Paragraphs (separated by blank lines) broken at `width` and indented; lines that start with a
// blank stay as they are.
std::string Wrap(std::string_view text, size_t indent, size_t width);

}  // namespace muster::cli
