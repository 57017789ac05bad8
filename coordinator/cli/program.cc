#include "coordinator/cli/program.h"

#include <algorithm>

#include "coordinator/cli/command_line.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/manual.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

int Fail(const absl::Status& status, bool json, std::ostream& err) {
  if (json) {
    const Json error = {
        {"error", {{"code", CodeName(status.code())}, {"message", std::string(status.message())}}}};
    err << error.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  } else {
    err << "muster: " << StdView(status.message()) << std::endl;
  }
  return ExitCodeOf(status);
}

}  // namespace

int RunProgram(std::span<const std::string> words, const Environment& environment,
               const Terminal& terminal) {
  const std::vector<Command> commands = AllCommands();
  const auto line = ParseCommandLine(words, commands);
  if (!line.ok()) {  // nothing was parsed, but whoever asked for JSON still gets it
    const bool json = std::find(words.begin(), words.end(), "--json") != words.end();
    return Fail(line.status(), json, terminal.err);
  }
  if (line->arguments.Has("help")) {
    terminal.out << (line->command != nullptr ? CommandManual(*line->command)
                     : line->group.empty()    ? ProgramManual(commands)
                                              : GroupManual(line->group, commands));
    return kExitDone;
  }
  const bool json = line->arguments.Has("json");
  if (line->command == nullptr) {
    return Fail(absl::InvalidArgumentError("no command given; see `muster --help`"), json,
                terminal.err);
  }
  auto settings = ResolveSettings(line->arguments, environment);
  if (!settings.ok()) return Fail(settings.status(), json, terminal.err);
  Context context{.arguments = line->arguments,
                  .settings = *std::move(settings),
                  .out = terminal.out,
                  .err = terminal.err,
                  .out_is_terminal = terminal.out_is_terminal,
                  .err_is_terminal = terminal.err_is_terminal};
  const absl::StatusOr<ExitCode> code = line->command->run(context);
  if (!code.ok()) return Fail(code.status(), json, terminal.err);
  return *code;
}

}  // namespace muster::cli
