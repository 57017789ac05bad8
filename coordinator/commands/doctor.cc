// muster-coordinator doctor
#include "coordinator/upkeep/doctor.h"

#include <nlohmann/json.hpp>

#include "coordinator/commands/command.h"
#include "coordinator/serve.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

void Print(std::ostream& out, const std::vector<CheckResult>& results) {
  for (const CheckResult& result : results) {
    out << FindingName(result.finding) << std::string(9 - FindingName(result.finding).size(), ' ')
        << result.check << ": " << result.text << "\n";
    if (!result.advice.empty()) out << "         -> " << result.advice << "\n";
  }
}

nlohmann::json JsonOf(const std::vector<CheckResult>& results, bool healthy) {
  nlohmann::json json = {{"healthy", healthy}, {"checks", nlohmann::json::array()}};
  for (const CheckResult& result : results) {
    json["checks"].push_back({{"check", result.check},
                              {"finding", FindingName(result.finding)},
                              {"text", result.text},
                              {"advice", result.advice}});
  }
  return json;
}

absl::StatusOr<int> RunDoctor(CommandLine& line) {
  po::options_description options = CommonOptions();
  options.add_options()("deep", po::bool_switch(),
                        "read every blob that is referred to and compare its digest")(
      "json", po::bool_switch(), "print the result as JSON");
  if (!line.Parse(options)) return kExitDone;
  const auto results = Examine({.state_dir = line.Get<std::string>("state-dir"),
                                .identity = kIdentityFolder,
                                .package_key = kPackageKeyFile,
                                .at_rest_key = kAtRestKeyFile,
                                .blobs = kBlobFolder,
                                .staging = kStagingFolder,
                                .deep = line.Get<bool>("deep")},
                               SystemClock().Now());
  bool healthy = true;
  for (const CheckResult& result : results) healthy &= result.finding != Finding::kProblem;
  if (line.Get<bool>("json")) {
    line.out() << JsonOf(results, healthy).dump() << "\n";
  } else {
    Print(line.out(), results);
  }
  return healthy ? kExitDone : kExitFailed;
}

}  // namespace

const Command& DoctorCommand() {
  static const Command command = {
      .name = "doctor",
      .summary = "looks whether a state folder is in order",
      .synopsis = "--state-dir DIR [--deep] [--json]",
      .description =
          R"(Checks the keys and who may read them, the CA's certificate, the clock, the disk, the
schema, the database itself, that every blob that is referred to is there (--deep: and is
what its digest says), blobs that nothing refers to, tasks that nobody does, and uploads
that nobody took. Changes nothing, and works beside a running coordinator.
)",
      .exit_status = "0  in order, perhaps with warnings\n1  a problem\n2  wrong usage\n",
      .examples = R"(muster-coordinator doctor -d /var/lib/muster
muster-coordinator doctor -d /var/lib/muster --deep --json
)",
      .run = RunDoctor};
  return command;
}

}  // namespace muster::commands
