#include "coordinator/cli/manual.h"

#include <algorithm>

#include "coordinator/cli/settings.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr size_t kIndent = 4;
constexpr size_t kHelpColumn = 30;

void WrapLine(std::string_view line, size_t indent, size_t width, std::string& out) {
  std::string current;
  const auto flush = [&] {
    if (!current.empty()) StrAppend(&out, std::string(indent, ' '), current, "\n");
    current.clear();
  };
  while (!line.empty()) {
    const size_t space = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, space);
    line.remove_prefix(std::min(line.size(), space + 1));
    if (word.empty()) continue;
    if (!current.empty() && indent + current.size() + 1 + word.size() > width) flush();
    StrAppend(&current, current.empty() ? "" : " ", word);
  }
  flush();
}

std::string OptionLine(const OptionSpec& option) {
  std::string left(kIndent, ' ');
  if (option.letter != 0) StrAppend(&left, "-", std::string(1, option.letter), ", ");
  StrAppend(&left, "--", option.name);
  if (!option.value.empty()) StrAppend(&left, " ", option.value);
  std::string help = Wrap(option.help, kHelpColumn, kManualWidth);
  if (left.size() + 2 > kHelpColumn) return StrCat(left, "\n", help);
  help.replace(0, left.size(), left);
  return help;
}

std::string OptionLines(std::span<const OptionSpec> options) {
  std::string text;
  for (const OptionSpec& option : options) text += OptionLine(option);
  return text;
}

std::string CommandLines(std::span<const Command> commands, std::string_view group) {
  std::string text;
  for (const Command& command : commands) {
    if (!group.empty() && !command.words.starts_with(StrCat(group, " ")) &&
        command.words != group) {
      continue;
    }
    std::string left =
        StrCat("    ", command.words, command.operands.empty() ? "" : " ", command.operands);
    std::string help = Wrap(command.summary, kHelpColumn, kManualWidth);
    if (left.size() + 2 > kHelpColumn) {
      StrAppend(&text, left, "\n", help);
    } else {
      help.replace(0, left.size(), left);
      text += help;
    }
  }
  return text;
}

std::string Indented(std::string_view lines) {
  std::string text;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    StrAppend(&text, "    ", lines.substr(0, end), "\n");
    lines.remove_prefix(std::min(lines.size(), end + 1));
  }
  return text;
}

constexpr char kProgramDescription[] =
    R"(Runs training jobs over a fleet of devices whose data never leaves them, promotes the models that come of it, and shows what happens. Talks to a coordinator over mTLS with a researcher's or an operator's credential, which `muster-coordinator init` and `muster-coordinator credential` make. Researchers have run, jobs, models and usage; operators have all of it.

Data goes to stdout, progress and errors to stderr. With --json every command prints one JSON document on stdout (run and watch: one a line), and errors as {"error": {"code", "message"}} on stderr.)";

constexpr char kEnvironmentManual[] =
    R"(    MUSTER_COORDINATOR   HOST:PORT of the coordinator
    MUSTER_CREDENTIAL    folder of the credential
    MUSTER_WORKER        muster-worker, which reads TorchScript files for run
    NO_COLOR             no colors if it is not empty
)";

constexpr char kFilesManual[] =
    R"(    $XDG_CONFIG_HOME/muster/config.yaml (or ~/.config/muster/config.yaml)
        coordinator, credential and rpc_timeout, where neither an option nor the
        environment says so.
)";

constexpr char kProgramExamples[] =
    R"(    muster --coordinator localhost:7443 --credential op tokens create --uses 10
    muster run scripts/examples/fashion-mnist.yaml -c rounds=5
    muster promote fashion@5 --cohort 'site=a' --wait
)";

}  // namespace

std::string Wrap(std::string_view text, size_t indent, size_t width) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    if (line.empty()) {
      out += "\n";
    } else if (line.front() == ' ') {
      StrAppend(&out, std::string(indent, ' '), line, "\n");
    } else {
      WrapLine(line, indent, width, out);
    }
  }
  return out;
}

std::string ProgramManual(std::span<const Command> commands) {
  return StrCat("NAME\n    muster - train, promote and watch models over a fleet of devices\n\n",
                "SYNOPSIS\n    muster [OPTIONS] COMMAND [ARGUMENTS]\n",
                "    muster help [COMMAND]\n\nDESCRIPTION\n",
                Wrap(kProgramDescription, kIndent, kManualWidth), "\nCOMMANDS\n",
                CommandLines(commands, ""), "\nOPTIONS\n    Before or after the command:\n\n",
                OptionLines(GlobalOptions()), "\nENVIRONMENT\n", kEnvironmentManual, "\nFILES\n",
                kFilesManual, "\nEXIT STATUS\n", kExitStatusManual, "\nEXAMPLES\n",
                kProgramExamples);
}

std::string GroupManual(std::string_view group, std::span<const Command> commands) {
  return StrCat("NAME\n    muster ", group, " - a group of commands\n\nCOMMANDS\n",
                CommandLines(commands, group), "\n    `muster ", group,
                " COMMAND --help` is a command's manual.\n");
}

std::string CommandManual(const Command& command) {
  std::string synopsis = StrCat("    muster ", command.words);
  if (!command.options.empty()) synopsis += " [OPTIONS]";
  if (!command.operands.empty()) StrAppend(&synopsis, " ", command.operands);
  return StrCat("NAME\n    muster ", command.words, " - ", command.summary, "\n\nSYNOPSIS\n",
                synopsis, "\n\nDESCRIPTION\n", Wrap(command.description, kIndent, kManualWidth),
                command.options.empty() ? "" : "\nOPTIONS\n", OptionLines(command.options),
                "\nGLOBAL OPTIONS\n", OptionLines(GlobalOptions()), "\nEXIT STATUS\n",
                kExitStatusManual, "\nEXAMPLES\n", Indented(command.examples));
}

}  // namespace muster::cli
