#include "coordinator/commands/limit_options.h"

#include <chrono>

namespace muster::commands {
namespace {

namespace po = boost::program_options;

constexpr double kIdleExitMin = 1, kIdleExitMax = 86'400;  // seconds

}  // namespace

po::options_description LimitOptions(ServeOptions& serve) {
  po::options_description options("Limits (coordinator/README.md has them all)");
  CallerLimits& callers = serve.edge.callers;
  const auto number = [](auto& value, const char* name) {
    return po::value(&value)->default_value(value)->value_name(name);
  };
  options.add_options()(
      "idle-exit", po::value<double>()->default_value(0)->value_name("SECONDS"),
      "end when there was nothing to do for so long, 1 or more; needs sockets passed by LISTEN_FDS;"
      " 0: never")("max-connections", number(serve.max_connections, "N"),
                   "open connections; one more is reset")(
      "queue-limit", number(serve.queue_limit, "N"),
      "calls that may wait for a thread; more are told to come back later")(
      "calls-per-second", number(callers.calls.per_second, "RATE"), "of one identity; 0: no limit")(
      "calls-burst", number(callers.calls.burst, "N"), "of one identity at once, after a pause")(
      "enrolments-per-second", number(callers.enrolments.per_second, "RATE"),
      "from one address, or IPv6 /64; 0: no limit")("enrolments-burst",
                                                    number(callers.enrolments.burst, "N"),
                                                    "from one address at once, after a pause")(
      "transfer-bytes", number(serve.edge.transfers.bytes, "BYTES"),
      "of memory for uploads and downloads, 2 MiB for each that moves; others wait in line")(
      "transfers-waiting", number(serve.edge.transfers.waiting, "N"),
      "uploads and downloads in line; more are told to come back later")(
      "max-open-rounds", number(serve.drive.max_open_rounds, "N"),
      "rounds, each with its sum in memory, above which no job is taken")(
      "max-cohort", number(serve.drive.max_cohort, "N"), "devices that a job's round may ask for");
  return options;
}

absl::Status ReadLimits(const CommandLine& line, ServeOptions& serve) {
  const double idle = line.Get<double>("idle-exit");
  if (idle != 0 && !(idle >= kIdleExitMin && idle <= kIdleExitMax)) {
    return absl::InvalidArgumentError("--idle-exit takes 0, or 1 to 86400 seconds");
  }
  serve.idle_exit = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(idle));
  if (serve.max_connections == 0 || serve.drive.max_open_rounds == 0) {
    return absl::InvalidArgumentError("--max-connections and --max-open-rounds must be at least 1");
  }
  const CallerLimits& callers = serve.edge.callers;
  for (const Rate& rate : {callers.calls, callers.enrolments}) {
    if (rate.per_second >= 0 && rate.burst >= 1) continue;
    return absl::InvalidArgumentError("rates must not be negative, and bursts at least 1");
  }
  return absl::OkStatus();
}

}  // namespace muster::commands
