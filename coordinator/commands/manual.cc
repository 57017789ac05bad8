// Manual pages, from what the commands say about themselves.
#include <sstream>

#include "coordinator/commands/command.h"
#include "proto/core/strings.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

constexpr char kNameIndent[] = "    ";
constexpr size_t kSummaryColumn = 18;

constexpr char kFiles[] = R"(FILES
    STATE-DIR/identity/         the CA's key (0600) and certificate: keep a copy, offline
    STATE-DIR/package-key.pem   the key that signs packages (0600)
    STATE-DIR/at-rest-key       seals updates while they lie on the disk (0600)
    STATE-DIR/muster.db         jobs, rounds, devices, models, promotions, usage (SQLite)
    STATE-DIR/blobs/            packages and weights by their SHA-256
    STATE-DIR/staging/          uploads that no round has taken yet
    STATE-DIR/coordinator.json  {pid, port, http_port} of the running process
)";

constexpr char kProgramExamples[] = R"(EXAMPLES
    muster-coordinator init --state-dir /var/lib/muster
    muster-coordinator serve --state-dir /var/lib/muster --listen 0.0.0.0:7443
)";

std::string Indented(std::string_view lines, std::string_view indent) {
  std::string text;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    StrAppend(&text, line.empty() ? "" : indent, line, "\n");
    lines.remove_prefix(std::min(lines.size(), end + 1));
  }
  return text;
}

std::string SynopsisOf(const Command& command) {
  return Indented(command.synopsis, StrCat("    muster-coordinator ", command.name, " "));
}

}  // namespace

std::string ProgramManual() {
  std::string synopses, summaries;
  for (const Command* command : AllCommands()) {
    synopses += SynopsisOf(*command);
    std::string left = StrCat(kNameIndent, command->name);
    left.resize(std::max(left.size() + 2, kSummaryColumn), ' ');
    StrAppend(&summaries, left, command->summary, "\n");
  }
  return StrCat("NAME\n    muster-coordinator - runs training jobs and promotions over a fleet of ",
                "devices\n\nSYNOPSIS\n", synopses, "\nCOMMANDS\n", summaries,
                "\n    `muster-coordinator COMMAND --help` is a command's manual page.\n\n", kFiles,
                "\nEXIT STATUS\n    0  done    1  failed, with the reason on stderr    2  wrong ",
                "usage\n\n", kProgramExamples);
}

std::string CommandManual(const Command& command, const po::options_description& options) {
  std::ostringstream option_lines;
  options.print(option_lines);
  return StrCat("NAME\n    muster-coordinator ", command.name, " - ", command.summary,
                "\n\nSYNOPSIS\n", SynopsisOf(command), "\nDESCRIPTION\n",
                Indented(command.description, kNameIndent), "\nOPTIONS\n",
                Indented(option_lines.str(), "  "), "\nEXIT STATUS\n",
                Indented(command.exit_status, kNameIndent), "\nEXAMPLES\n",
                Indented(command.examples, kNameIndent));
}

}  // namespace muster::commands
