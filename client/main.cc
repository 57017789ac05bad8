// muster-client: the device's program. `enroll` once, then `run` for years; `status` any time.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "client/agent/agent.h"
#include "client/agent/config.h"
#include "client/agent/core.h"
#include "client/agent/status.h"
#include "client/agent/text.h"
#include "client/identity/device_identity.h"
#include "proto/core/labels.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/suggest.h"

namespace muster {
namespace {

namespace po = boost::program_options;
using text::Cat;
using text::View;

constexpr int kOk = 0, kFailed = 1, kUsage = 2, kNotEnrolled = 3, kRefused = 4;

constexpr char kHelp[] = R"(NAME
    muster-client - the agent that makes a machine a device of a Muster fleet

SYNOPSIS
    muster-client enroll --coordinator HOST:PORT --token TOKEN --ca-pin sha256:HEX
                         [--name NAME] [--label KEY=VALUE]... [--config FILE] [--state-dir DIR]
    muster-client run    [--config FILE] [--state-dir DIR] [--coordinator HOST:PORT]
                         [--set PATH=VALUE]... [--verbose]
    muster-client status [--config FILE] [--state-dir DIR] [--json]
    muster-client --help | --version

DESCRIPTION
    enroll  Makes a key on this device, which never leaves it, and gets a short-lived certificate
            from the coordinator. The pin is printed by `muster-coordinator init`, the token by
            `muster tokens create`. Needed once; the certificate is renewed by itself.
    run     Checks in with the coordinator, trains and evaluates in a sandbox on this device's own
            data, and serves the models that are promoted to it, personalized and quantized. The
            data never leaves the device. Without a coordinator it goes on serving the last good
            models. Ends on SIGTERM or SIGINT, in order. Safe to kill at any moment.
    status  Says who this device is, what it runs and what it serves, from the files in state_dir.

OPTIONS
    --config FILE            client.yaml; see FILES
    --state-dir DIR          where identity, journal, models and cache are kept
    --coordinator HOST:PORT  the coordinator; or its replicas, as IP:PORT,IP:PORT
    --token TOKEN            one-time join token; better given as MUSTER_TOKEN, which `ps` does not show
    --ca-pin sha256:HEX      the fleet's CA, without which no coordinator is believed
    --name NAME              a device id to ask for
    --label KEY=VALUE        a label to ask for; may be repeated; the token's own labels win
    --set PATH=VALUE         any setting of the file, such as --set data.partition.index=3
    --json                   machine-readable output
    --verbose                log debug messages too
    --help, --version

ENVIRONMENT
    Every setting of the file can be given as MUSTER_ and its path in capitals with underscores, such
    as MUSTER_STATE_DIR or MUSTER_DATA_SEED. Flags win over the environment, which wins over the file.

FILES
    client.yaml, with these keys (only state_dir and coordinator have no default):
@KEYS@
    STATE_DIR/agent.json     pid and inference port of the running agent

EXIT STATUS
    0  done    1  failed    2  usage or configuration    3  not enrolled    4  refused or revoked

EXAMPLES
    muster-client enroll --coordinator fleet.example:7443 --token "$T" --ca-pin "$PIN" \
        --state-dir /var/lib/muster
    muster-client run --config /etc/muster/client.yaml
)";

int Fail(const absl::Status& status, int code) {
  std::cerr << "muster-client: " << View(status.message()) << "\n";
  return code;
}
int Usage(const std::string& message) {
  return Fail(absl::InvalidArgumentError(Cat(message, "; see muster-client --help")), kUsage);
}

void PrintHelp() {
  std::string keys;
  for (std::string_view path : ConfigPaths()) keys += Cat("      ", path, "\n");
  std::string help = kHelp;
  help.replace(help.find("@KEYS@\n"), 7, keys);
  std::cout << help;
}

absl::StatusOr<ClientConfig> ConfigFrom(const po::variables_map& options) {
  Overrides flags;
  if (options.count("set") > 0) {
    for (const std::string& one : options["set"].as<std::vector<std::string>>()) {
      const size_t equals = one.find('=');
      if (equals == std::string::npos) {
        return absl::InvalidArgumentError(Cat("--set takes PATH=VALUE, got '", one, "'"));
      }
      flags[one.substr(0, equals)] = one.substr(equals + 1);
    }
  }
  for (const auto& [flag, path] :
       {std::pair{"state-dir", "state_dir"}, std::pair{"coordinator", "coordinator"}}) {
    if (options.count(flag) > 0) flags[path] = options[flag].as<std::string>();
  }
  const std::string file = options.count("config") > 0 ? options["config"].as<std::string>() : "";
  return LoadConfig(file, GetEnvironment, flags);
}

int ExitCode(const absl::Status& status) {
  if (status.ok()) return kOk;
  if (absl::IsInvalidArgument(status)) return kUsage;
  return IsRefusal(status.code()) ? kRefused : kFailed;
}

int Enroll(const po::variables_map& options) {
  auto config = ConfigFrom(options);
  if (!config.ok()) return Fail(config.status(), kUsage);
  EnrolOptions enrol;
  enrol.state_dir = config->state_dir;
  enrol.coordinator = config->coordinator;
  enrol.token = options.count("token") > 0 ? options["token"].as<std::string>()
                                           : GetEnvironment("MUSTER_TOKEN").value_or("");
  enrol.ca_pin = options.count("ca-pin") > 0 ? options["ca-pin"].as<std::string>()
                                             : GetEnvironment("MUSTER_CA_PIN").value_or("");
  if (options.count("name") > 0) enrol.requested_name = options["name"].as<std::string>();
  if (enrol.coordinator.empty()) return Usage("enroll needs --coordinator HOST:PORT");
  if (enrol.token.empty()) return Usage("enroll needs --token, from `muster tokens create`");
  if (enrol.ca_pin.empty()) return Usage("enroll needs --ca-pin, from `muster-coordinator init`");
  if (options.count("label") > 0) {
    for (const std::string& one : options["label"].as<std::vector<std::string>>()) {
      auto labels = ParseLabels(one);
      if (!labels.ok()) return Fail(labels.status(), kUsage);
      enrol.labels.merge(*labels);
    }
  }
  auto identity = EnrolDevice(enrol);
  if (!identity.ok()) return Fail(identity.status(), ExitCode(identity.status()));
  std::cout << identity->id.value() << "\n";
  LogInfo("enrolled", {{"device", identity->id.value()},
                       {"certificate_until", identity->not_after.ToString()}});
  return kOk;
}

int stop_pipe[2] = {-1, -1};
void OnSignal(int) {
  const int saved = errno;
  // A full pipe has told it already.
  [[maybe_unused]] const ssize_t written = write(stop_pipe[1], "x", 1);
  errno = saved;
}

absl::Status CatchSignals() {
  if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
    return absl::InternalError("cannot make a pipe for signals");
  }
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return absl::OkStatus();
}

int Run(const po::variables_map& options) {
  auto config = ConfigFrom(options);
  if (!config.ok()) return Fail(config.status(), kUsage);
  if (absl::Status status = CatchSignals(); !status.ok()) return Fail(status, kFailed);
  auto agent = Agent::Start(*config);
  if (absl::IsNotFound(agent.status())) return Fail(agent.status(), kNotEnrolled);
  if (!agent.ok()) return Fail(agent.status(), ExitCode(agent.status()));
  LogInfo("the agent runs",
          {{"coordinator", config->coordinator}, {"inference_port", (*agent)->inference_port()}});
  const absl::Status status = (*agent)->Run(stop_pipe[0]);
  if (!status.ok()) return Fail(status, kFailed);
  LogInfo("the agent ended in order");
  return kOk;
}

int Status(const po::variables_map& options) {
  auto config = ConfigFrom(options);
  if (!config.ok()) return Fail(config.status(), kUsage);
  auto status = DescribeStatus(config->state_dir);
  if (absl::IsNotFound(status.status())) return Fail(status.status(), kNotEnrolled);
  if (!status.ok()) return Fail(status.status(), kFailed);
  std::cout << (options.count("json") > 0 ? status->json + "\n" : status->human);
  return kOk;
}

int Main(int argc, char** argv) {
  po::options_description description;
  auto add = description.add_options();
  for (const char* name : {"config", "state-dir", "coordinator", "token", "ca-pin", "name"}) {
    add(name, po::value<std::string>());
  }
  for (const char* name : {"label", "set"}) add(name, po::value<std::vector<std::string>>());
  for (const char* name : {"json", "verbose", "help", "version"}) add(name, "");
  add("command", po::value<std::string>());
  po::positional_options_description positional;
  positional.add("command", 1);
  po::variables_map options;
  try {
    // Abbreviated options would change their meaning when new ones come.
    const int style =
        po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(argc, argv)
                  .options(description)
                  .positional(positional)
                  .style(style)
                  .run(),
              options);
  } catch (const po::error& error) {
    return Usage(error.what());
  }
  if (options.count("help") > 0) {
    PrintHelp();
    return kOk;
  }
  if (options.count("version") > 0) {
    std::cout << kAgentVersion << "\n";
    return kOk;
  }
  if (options.count("verbose") > 0) SetLogLevel(LogLevel::kDebug);
  if (options.count("command") == 0) return Usage("say what to do: enroll, run or status");
  const std::string command = options["command"].as<std::string>();
  if (command == "enroll") return Enroll(options);
  if (command == "run") return Run(options);
  if (command == "status") return Status(options);
  const std::vector<std::string_view> known = {"enroll", "run", "status"};
  return Usage(Cat("unknown command '", command, "'", DidYouMean(command, known)));
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  // One heap: arenas per thread would cost an idle agent megabytes.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TRIM_THRESHOLD, 64 << 10);
  return muster::Main(argc, argv);
}
