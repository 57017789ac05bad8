// muster: the command line of researchers and operators.
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "coordinator/cli/program.h"

extern char** environ;

namespace {

muster::cli::Environment ReadEnvironment() {
  muster::cli::Environment environment;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view pair = *at;
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return environment;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  return muster::cli::RunProgram(words, ReadEnvironment(),
                                 {.out = std::cout,
                                  .err = std::cerr,
                                  .out_is_terminal = isatty(STDOUT_FILENO) == 1,
                                  .err_is_terminal = isatty(STDERR_FILENO) == 1});
}
