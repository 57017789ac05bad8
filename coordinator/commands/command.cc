#include "coordinator/commands/command.h"

#include <algorithm>

#include "proto/core/strings.h"
#include "proto/core/suggest.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

constexpr char kProgram[] = "muster-coordinator";

int Fail(const absl::Status& status, std::ostream& err) {
  err << kProgram << ": " << status.message() << "\n";
  return status.code() == absl::StatusCode::kInvalidArgument ? kExitUsage : kExitFailed;
}

// Names have one word or two. Takes the words off `arguments`.
const Command* TakeCommand(std::vector<std::string>& arguments) {
  for (const size_t words : {2, 1}) {
    if (arguments.size() < words) continue;
    const std::string name = words == 2 ? StrCat(arguments[0], " ", arguments[1]) : arguments[0];
    for (const Command* command : AllCommands()) {
      if (command->name != name) continue;
      arguments.erase(arguments.begin(), arguments.begin() + static_cast<ptrdiff_t>(words));
      return command;
    }
  }
  return nullptr;
}

int RefuseUnknown(const std::vector<std::string>& arguments, std::ostream& err) {
  err << kProgram << ": ";
  if (arguments.empty()) {
    err << "no command given";
  } else {
    std::vector<std::string_view> names;
    for (const Command* command : AllCommands()) names.push_back(command->name);
    err << "unknown command '" << arguments[0] << "'" << DidYouMean(arguments[0], names);
  }
  err << "; see `" << kProgram << " --help`\n";
  return kExitUsage;
}

}  // namespace

bool CommandLine::Parse(const po::options_description& options) {
  po::store(po::command_line_parser(arguments_)
                .options(options)
                .positional(po::positional_options_description())
                .run(),
            values_);
  if (values_.contains("help")) {
    out_ << CommandManual(command_, options);
    return false;
  }
  po::notify(values_);
  return true;
}

po::options_description CommonOptions() {
  po::options_description options;
  options.add_options()("help,h", "this text")(
      "state-dir,d", po::value<std::string>()->default_value(kDefaultStateDir)->value_name("DIR"),
      "the coordinator's folder");
  return options;
}

int Run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err) {
  if (!arguments.empty() &&
      (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help")) {
    out << ProgramManual();
    return kExitDone;
  }
  const Command* command = TakeCommand(arguments);
  if (command == nullptr) return RefuseUnknown(arguments, err);
  CommandLine line(*command, std::move(arguments), out);
  try {
    const absl::StatusOr<int> code = command->run(line);
    return code.ok() ? *code : Fail(code.status(), err);
  } catch (const po::error& error) {
    err << kProgram << " " << command->name << ": " << error.what() << "; see `" << kProgram << " "
        << command->name << " --help`\n";
    return kExitUsage;
  }
}

}  // namespace muster::commands
