// muster-coordinator: the command line. serve.cc wires the parts together.
#include <boost/program_options.hpp>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "coordinator/init.h"
#include "coordinator/serve.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/suggest.h"
#include "proto/x509/spiffe.h"

namespace muster {
namespace {

namespace po = boost::program_options;

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

constexpr char kHelp[] = R"(NAME
    muster-coordinator - runs training jobs and promotions over a fleet of devices

SYNOPSIS
    muster-coordinator init --state-dir DIR [--operator NAME] [--credential-out DIR]
    muster-coordinator credential --state-dir DIR --role researcher|operator --name NAME --out DIR
    muster-coordinator serve --state-dir DIR [--listen HOST:PORT] [--http HOST:PORT]
    muster-coordinator pin --state-dir DIR

COMMANDS
    init          Makes the certificate authority, the package signing key and the first operator's
                  credential. Prints the CA pin that devices enrol with. Overwrites nothing.
    credential    Makes a credential folder for one more researcher or operator.
    serve         Serves devices, researchers and operators until SIGTERM or SIGINT.
    pin           Prints the CA pin.

    `muster-coordinator COMMAND --help` lists a command's options.

FILES
    STATE-DIR/identity/         the CA's key (0600) and certificate: keep a copy, offline
    STATE-DIR/package-key.pem   the key that signs packages (0600)
    STATE-DIR/muster.db         jobs, rounds, devices, models, promotions, usage (SQLite)
    STATE-DIR/blobs/            packages and weights by their SHA-256
    STATE-DIR/staging/          uploads that no round has taken yet
    STATE-DIR/coordinator.json  {pid, port, http_port} of the running process

EXIT STATUS
    0  done    1  failed, with the reason on stderr    2  wrong usage

EXAMPLES
    muster-coordinator init --state-dir /var/lib/muster
    muster-coordinator serve --state-dir /var/lib/muster --listen 0.0.0.0:7443
)";

int Fail(const absl::Status& status) {
  std::cerr << "muster-coordinator: " << status.message() << "\n";
  return status.code() == absl::StatusCode::kInvalidArgument ? kExitUsage : kExitFailed;
}

po::options_description StateDirOption() {
  po::options_description options("Options");
  options.add_options()("help,h", "this text")(
      "state-dir,d", po::value<std::string>()->default_value("/var/lib/muster"),
      "the coordinator's folder");
  return options;
}

// Nothing if --help was asked for and printed.
bool Parse(const po::options_description& options, const std::vector<std::string>& arguments,
           const char* command, po::variables_map& values) {
  po::store(po::command_line_parser(arguments)
                .options(options)
                .positional(po::positional_options_description())
                .run(),
            values);
  if (values.contains("help")) {
    std::cout << "muster-coordinator " << command << "\n\n" << options;
    return false;
  }
  po::notify(values);
  return true;
}

int RunInit(const std::vector<std::string>& arguments) {
  po::options_description options = StateDirOption();
  options.add_options()("trust-domain",
                        po::value<std::string>()->default_value(kDefaultTrustDomain),
                        "SPIFFE trust domain of all identities")(
      "operator", po::value<std::string>()->default_value("admin"), "name of the first operator")(
      "credential-out", po::value<std::string>(),
      "folder for the operator's credential (default: STATE-DIR/credentials/NAME)")(
      "json", po::bool_switch(), "print the result as JSON");
  po::variables_map values;
  if (!Parse(options, arguments, "init", values)) return kExitDone;
  const std::filesystem::path state_dir = values["state-dir"].as<std::string>();
  const std::string name = values["operator"].as<std::string>();
  std::filesystem::path out = state_dir / "credentials" / name;
  if (values.contains("credential-out")) out = values["credential-out"].as<std::string>();
  auto pin = InitCoordinator(state_dir, values["trust-domain"].as<std::string>());
  if (!pin.ok()) return Fail(pin.status());
  if (absl::Status status =
          IssueCredential(state_dir, Role::kOperator, name, out, kDefaultCredentialLifetime);
      !status.ok()) {
    return Fail(status);
  }
  if (values["json"].as<bool>()) {
    std::cout << nlohmann::json{{"ca_pin", *pin}, {"credential", out.string()}}.dump() << "\n";
    return kExitDone;
  }
  std::cout << "CA pin               " << *pin << "\n"
            << "operator credential  " << out.string() << "\n\n"
            << "Next: muster-coordinator serve --state-dir " << state_dir.string() << "\n"
            << "      muster --credential " << out.string() << " tokens create\n";
  return kExitDone;
}

int RunCredential(const std::vector<std::string>& arguments) {
  po::options_description options = StateDirOption();
  options.add_options()("role", po::value<std::string>()->required(), "researcher or operator")(
      "name", po::value<std::string>()->required(), "who it is for")(
      "out,o", po::value<std::string>()->required(), "folder to make")(
      "days", po::value<int>()->default_value(365), "lifetime, 1 to 825");
  po::variables_map values;
  if (!Parse(options, arguments, "credential", values)) return kExitDone;
  auto role = ParseRole(values["role"].as<std::string>());
  if (!role.ok()) return Fail(role.status());
  if (*role == Role::kDevice) {
    return Fail(absl::InvalidArgumentError(
        "devices get their identity by enrolment: `muster tokens create`, then `muster-client"
        " enroll` on the device"));
  }
  absl::Status status = IssueCredential(
      values["state-dir"].as<std::string>(), *role, values["name"].as<std::string>(),
      values["out"].as<std::string>(), std::chrono::hours(24) * values["days"].as<int>());
  return status.ok() ? kExitDone : Fail(status);
}

int RunPin(const std::vector<std::string>& arguments) {
  po::options_description options = StateDirOption();
  po::variables_map values;
  if (!Parse(options, arguments, "pin", values)) return kExitDone;
  auto pin = ReadCaPin(values["state-dir"].as<std::string>());
  if (!pin.ok()) return Fail(pin.status());
  std::cout << *pin << "\n";
  return kExitDone;
}

int RunServe(const std::vector<std::string>& arguments) {
  ServeOptions serve;
  po::options_description options = StateDirOption();
  options.add_options()("listen", po::value(&serve.listen)->default_value(serve.listen),
                        "gRPC address; port 0 picks a free one")(
      "http", po::value(&serve.http_listen)->default_value(serve.http_listen),
      "address of /healthz, /readyz and /metrics; empty: none")(
      "host", po::value(&serve.hosts)->composing(),
      "one more DNS name or IP address for the server's certificate")(
      "reflection", po::bool_switch(&serve.reflection), "serve gRPC reflection")(
      "threads", po::value(&serve.threads)->default_value(serve.threads),
      "threads that handle calls")(
      "queue-limit", po::value(&serve.queue_limit)->default_value(serve.queue_limit),
      "calls that may wait for a thread; more are answered RESOURCE_EXHAUSTED")(
      "device-certificate-hours", po::value<int>()->default_value(24 * 7),
      "lifetime of device certificates; devices renew at two thirds of it")(
      "pace-min-ms", po::value<int>()->default_value(2000),
      "shortest time between an idle device's check-ins")(
      "pace-max-ms", po::value<int>()->default_value(600'000),
      "longest time between an idle device's check-ins")(
      "check-ins-per-second",
      po::value(&serve.drive.check_ins_per_second)->default_value(serve.drive.check_ins_per_second),
      "rate of idle check-ins that the pace aims at")("stop-grace-ms",
                                                      po::value<int>()->default_value(10'000),
                                                      "time for open calls to end after SIGTERM")(
      "verbose,v", po::bool_switch(), "log debug messages too");
  po::variables_map values;
  if (!Parse(options, arguments, "serve", values)) return kExitDone;
  using std::chrono::milliseconds;
  serve.state_dir = values["state-dir"].as<std::string>();
  serve.device_certificate_lifetime =
      std::chrono::hours(values["device-certificate-hours"].as<int>());
  serve.drive.pace_min = milliseconds(values["pace-min-ms"].as<int>());
  serve.drive.pace_max = milliseconds(values["pace-max-ms"].as<int>());
  serve.stop_grace = milliseconds(values["stop-grace-ms"].as<int>());
  if (serve.threads == 0 || serve.drive.check_ins_per_second <= 0 ||
      serve.drive.pace_min <= Duration::zero() || serve.drive.pace_max < serve.drive.pace_min ||
      serve.device_certificate_lifetime <= Duration::zero()) {
    return Fail(absl::InvalidArgumentError(
        "threads, pace, rate and lifetime must be positive, and pace-max-ms at least pace-min-ms"));
  }
  if (values["verbose"].as<bool>()) SetLogLevel(LogLevel::kDebug);
  absl::Status status = Serve(serve);
  return status.ok() ? kExitDone : Fail(status);
}

int Main(int argc, char** argv) {
  const std::map<std::string_view, std::function<int(const std::vector<std::string>&)>> commands = {
      {"init", RunInit}, {"credential", RunCredential}, {"serve", RunServe}, {"pin", RunPin}};
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") {
    std::cout << kHelp;
    return kExitDone;
  }
  const auto command = commands.find(name);
  if (command == commands.end()) {
    std::vector<std::string_view> names;
    for (const auto& [known, run] : commands) names.push_back(known);
    std::cerr << "muster-coordinator: "
              << (name.empty()
                      ? "no command given"
                      : "unknown command '" + std::string(name) + "'" + DidYouMean(name, names))
              << "; see `muster-coordinator --help`\n";
    return kExitUsage;
  }
  try {
    return command->second({argv + 2, argv + argc});
  } catch (const po::error& error) {
    std::cerr << "muster-coordinator " << name << ": " << error.what()
              << "; see `muster-coordinator " << name << " --help`\n";
    return kExitUsage;
  }
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) { return muster::Main(argc, argv); }
