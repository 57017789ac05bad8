// The program as a function, so that tests can run it.
#pragma once

#include <ostream>
#include <span>
#include <string>

#include "coordinator/cli/settings.h"

namespace muster::cli {

struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
};

// `words` without the program's name. Returns the exit code (exit_code.h).
int RunProgram(std::span<const std::string> words, const Environment& environment,
               const Terminal& terminal);

}  // namespace muster::cli
