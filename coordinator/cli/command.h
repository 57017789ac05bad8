// What a command is: its words, its options, its manual page, and the function behind it.
#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/exit_code.h"
#include "coordinator/cli/settings.h"

namespace muster::cli {

struct OptionSpec {
  std::string_view name;        // "cohort"
  char letter = 0;              // 'c' for -c; 0: none
  std::string_view value = {};  // "SELECTOR"; empty: a flag
  std::string_view help = {};
};

// What was given. Of an option given more than once, the last counts, except with All.
struct Arguments {
  std::vector<std::string> operands;
  std::map<std::string, std::vector<std::string>, std::less<>> options;

  bool Has(std::string_view name) const { return options.find(name) != options.end(); }
  std::string Get(std::string_view name, std::string_view otherwise = "") const;
  std::vector<std::string> All(std::string_view name) const;
};

class Api;

// What a command runs with. Data goes to `out`, progress and remarks to `err`.
struct Context {
  Arguments arguments;
  Settings settings;
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;

  bool json() const { return settings.json; }
  bool color() const { return out_is_terminal && !settings.no_color; }
};

struct Command {
  std::string_view words;     // "jobs ls"
  std::string_view operands;  // "JOB", "[NAME]"
  size_t operands_min = 0, operands_max = 0;
  std::string_view summary;      // one line, no full stop
  std::string_view description;  // paragraphs of the manual page
  std::vector<OptionSpec> options;
  std::string_view examples;  // one a line
  // The exit code, or why it failed.
  std::function<absl::StatusOr<ExitCode>(Context&)> run;
};

std::span<const OptionSpec> GlobalOptions();

// Each file of commands has one of these.
std::vector<Command> GeneralCommands();  // ping, usage, help, version
std::vector<Command> RunCommands();      // run, jobs watch
std::vector<Command> JobCommands();      // jobs ls, show, cancel
std::vector<Command> FleetCommands();
std::vector<Command> TokenCommands();
std::vector<Command> CredentialCommands();
std::vector<Command> ModelCommands();
std::vector<Command> PromoteCommands();
std::vector<Command> AuditCommands();
std::vector<Command> SecAggCommands();  // secagg plan
std::vector<Command> AllCommands();

}  // namespace muster::cli
