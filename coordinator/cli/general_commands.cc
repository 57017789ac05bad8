// ping, usage, help and version.
#include "coordinator/cli/commands.h"
#include "coordinator/cli/duration.h"
#include "coordinator/cli/manual.h"
#include "coordinator/cli/ping.h"
#include "coordinator/cli/text.h"
#include "proto/core/ids.h"
#include "proto/core/strings.h"
#include "proto/core/suggest.h"

namespace muster::cli {
namespace {

absl::StatusOr<ExitCode> Ping(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const Duration wait,
                          TimeOption(context.arguments, "wait", Duration::zero()));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(const Timestamp answered, WaitForAnswer(*api, wait));
  if (context.json()) {
    PrintJson(context, {{"answered_unix_us", answered.unix_us}});
  } else {
    context.out << "the coordinator at " << api->address() << " answers" << std::endl;
  }
  return kExitDone;
}

std::vector<Table::Cell> UsageCells(const std::string& job, const std::string& device,
                                    const v1::UsageRow& row) {
  return {job,
          device,
          FormatCount(row.invocations()),
          FormatCount(row.wall_us() / 1000),
          FormatCount(row.cpu_us() / 1000),
          FormatBytes(row.bytes_up()),
          FormatBytes(row.bytes_down()),
          FormatCount(row.cold_starts())};
}

absl::StatusOr<ExitCode> Usage(Context& context) {
  v1::GetUsageRequest request;
  if (context.arguments.Has("job")) {
    request.set_job(context.arguments.Get("job"));
    MUSTER_RETURN_IF_ERROR(ValidateId("--job", request.job()));
  }
  if (context.arguments.Has("device")) {
    request.set_device(context.arguments.Get("device"));
    MUSTER_RETURN_IF_ERROR(ValidateId("--device", request.device()));
  }
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(const v1::GetUsageResponse usage, api->Call(request));
  if (context.json()) {
    PrintJson(context, ViewOf(usage));
    return kExitDone;
  }
  using enum Table::Align;
  Table table({{"JOB"},
               {"DEVICE"},
               {"INVOCATIONS", kRight},
               {"FUNCTION MS", kRight},
               {"CPU MS", kRight},
               {"UP", kRight},
               {"DOWN", kRight},
               {"COLD STARTS", kRight}});
  v1::UsageRow sum;
  for (const v1::UsageRow& row : usage.rows()) {
    table.Add(UsageCells(row.job(), row.device(), row));
    sum.set_invocations(sum.invocations() + row.invocations());
    sum.set_wall_us(sum.wall_us() + row.wall_us());
    sum.set_cpu_us(sum.cpu_us() + row.cpu_us());
    sum.set_bytes_up(sum.bytes_up() + row.bytes_up());
    sum.set_bytes_down(sum.bytes_down() + row.bytes_down());
    sum.set_cold_starts(sum.cold_starts() + row.cold_starts());
  }
  table.Add(UsageCells("total", "", sum));
  context.out << table.Render(context.color());
  return kExitDone;
}

absl::StatusOr<ExitCode> Help(Context& context) {
  const std::vector<Command> commands = AllCommands();
  if (context.arguments.operands.empty()) {
    context.out << ProgramManual(commands);
    return kExitDone;
  }
  const std::string words = StrJoin(context.arguments.operands, " ");
  std::vector<std::string_view> names;
  bool is_group = false;
  for (const Command& command : commands) {
    names.push_back(command.words);
    is_group = is_group || command.words.starts_with(StrCat(words, " "));
    if (command.words != words) continue;
    context.out << CommandManual(command);
    return kExitDone;
  }
  if (!is_group) {
    return absl::InvalidArgumentError(StrCat("there is no command '", words, "'",
                                             DidYouMean(words, names), "; see `muster help`"));
  }
  context.out << GroupManual(words, commands);
  return kExitDone;
}

absl::StatusOr<ExitCode> Version(Context& context) {
  if (context.json()) {
    PrintJson(context, {{"version", MUSTER_VERSION}});
  } else {
    context.out << "muster " << MUSTER_VERSION << std::endl;
  }
  return kExitDone;
}

constexpr char kUsageDescription[] =
    R"(Shows what jobs cost on devices: invocations of functions, their milliseconds of wall time and of CPU time, and the bytes that crossed the wire. What serving costs (personalizing, quantizing, answering) stands under the job "serving". With --json: {"rows": [...]}, times in microseconds.)";

}  // namespace

std::vector<Command> GeneralCommands() {
  return {
      {.words = "usage",
       .operands = "",
       .summary = "what jobs cost, by job and device",
       .description = kUsageDescription,
       .options = {{"job", 0, "JOB", "of this job only, or \"serving\""},
                   {"device", 0, "DEVICE", "on this device only"}},
       .examples = "muster usage\nmuster usage --job j-4f2a\nmuster usage --job serving",
       .run = Usage},
      {.words = "ping",
       .operands = "",
       .summary = "tell whether the coordinator answers",
       .description = "Makes one call and tells whether it was answered. With --wait it knocks "
                      "until the coordinator is there. With --json: {\"answered_unix_us\"}, the "
                      "wall clock when the answer came.",
       .options = {{"wait", 0, "TIME", "how long to wait for it (not at all)"}},
       .examples = "muster ping --wait 20s && muster run job.yaml",
       .run = Ping},
      {.words = "help",
       .operands = "[COMMAND]",
       .operands_max = 2,
       .summary = "this manual, or a command's",
       .description = "Prints the manual of the program, of a group such as jobs, or of a command.",
       .options = {},
       .examples = "muster help jobs\nmuster help promote status",
       .run = Help},
      {.words = "version",
       .operands = "",
       .summary = "the program's version",
       .description = "Prints the version.",
       .options = {},
       .examples = "muster version",
       .run = Version},
  };
}

}  // namespace muster::cli
