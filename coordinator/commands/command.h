// The command line of muster-coordinator as a table: what a command is called, what its manual page
// says, and the function behind it. Each command has a file of its own in this folder.
#pragma once

#include <boost/program_options.hpp>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::commands {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr char kDefaultStateDir[] = "/var/lib/muster";

struct Command {
  std::string_view name;         // "serve", "ca rotate"
  std::string_view summary;      // one line, no full stop
  std::string_view synopsis;     // one line for each form, without the program's name
  std::string_view description;  // lines as they are printed, not indented
  std::string_view exit_status = "0  done\n1  failed, with the reason on stderr\n2  wrong usage\n";
  std::string_view examples;  // one a line
  // Declares the options it takes and reads them from `line`.
  absl::StatusOr<int> (*run)(class CommandLine& line);
};

// What was given to a command. Parse() declares the options to it.
class CommandLine {
 public:
  CommandLine(const Command& command, std::vector<std::string> arguments, std::ostream& out)
      : command_(command), arguments_(std::move(arguments)), out_(out) {}

  // False if --help was asked for: the manual page is printed, and there is nothing more to do.
  // Throws program_options::error for what it cannot take; Run() answers those.
  bool Parse(const boost::program_options::options_description& options);
  template <typename Value>
  const Value& Get(const char* name) const {
    return values_[name].as<Value>();
  }
  bool Has(const char* name) const { return values_.contains(name); }
  std::ostream& out() const { return out_; }

 private:
  const Command& command_;
  std::vector<std::string> arguments_;
  boost::program_options::variables_map values_;
  std::ostream& out_;
};

// --help and --state-dir, which every command takes.
boost::program_options::options_description CommonOptions();

const Command& InitCommand();
const Command& CredentialCommand();
const Command& ServeCommand();
const Command& PinCommand();
const Command& CaStatusCommand();
const Command& CaRotateCommand();
const Command& CaSwitchCommand();
const Command& CaRetireCommand();
const Command& GcCommand();
const Command& BackupCommand();
const Command& RestoreCommand();
const Command& TimelineNewCommand();
const Command& MigrateCommand();
const Command& DoctorCommand();
const Command& AtRestKeyNewCommand();
const Command& AtRestKeyRotateCommand();
std::vector<const Command*> AllCommands();

std::string ProgramManual();
std::string CommandManual(const Command& command,
                          const boost::program_options::options_description& options);

// Finds the command, runs it, and says on `err` why it failed. The exit code.
int Run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err);

}  // namespace muster::commands
