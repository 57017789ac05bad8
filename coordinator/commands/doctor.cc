// muster-coordinator doctor
#include "coordinator/upkeep/doctor.h"

#include <nlohmann/json.hpp>

#include "coordinator/commands/blob_options.h"
#include "coordinator/commands/command.h"
#include "coordinator/serve.h"
#include "coordinator/store/open_store.h"
#include "proto/core/status.h"

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
  DoctorOptions doctor{
      .identity = kIdentityFolder, .package_key = kPackageKeyFile, .at_rest_key = kAtRestKeyFile};
  po::options_description options = CommonOptions();
  options.add_options()(
      "store", po::value(&doctor.store_url)->default_value("sqlite")->value_name("URL"),
      "as for `serve`")("deep", po::bool_switch(&doctor.deep),
                        "read every blob that is referred to and compare its digest")(
      "json", po::bool_switch(), "print the result as JSON");
  options.add(BlobOptionsFor(doctor.blobs));
  if (!line.Parse(options)) return kExitDone;
  doctor.state_dir = line.Get<std::string>("state-dir");
  doctor.blobs.blob_folder = doctor.state_dir / kBlobFolder;
  doctor.blobs.staging_folder = doctor.state_dir / kStagingFolder;
  MUSTER_RETURN_IF_ERROR(CheckStoreUrl(doctor.store_url));
  MUSTER_RETURN_IF_ERROR(CheckBlobPlaces(doctor.blobs));
  const auto results = Examine(doctor, SystemClock().Now());
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
      .summary = "looks whether a coordinator's keys, store and blobs are in order",
      .synopsis = "--state-dir DIR [--store URL] [--blobs URL] [--deep] [--json]",
      .description =
          R"(Checks the keys and who may read them, the CA's certificate, the clock, the disk, the
database itself, the schema, that every blob that is referred to is there (--deep: and is
what its digest says), blobs that nothing refers to, tasks that nobody does, and uploads
that nobody took. Changes nothing, and works beside running coordinators.

Give it the same --store and --blobs as `serve`. Of a PostgreSQL server it asks whether it
can be reached, is version 15 or newer, is not a standby and takes writes, and whether its
clock is within 10 s of this machine's. Blobs in an S3-compatible store are listed; --deep
reads them all over the network. The disks of both cannot be seen from here: it says so.

A check that cannot be made is told as "not checked", and why.
)",
      .exit_status = "0  in order, perhaps with warnings\n1  a problem\n2  wrong usage\n",
      .examples = R"(muster-coordinator doctor -d /var/lib/muster
muster-coordinator doctor -d /var/lib/muster --deep --json
muster-coordinator doctor -d keys --store postgresql://db.example/muster \
    --blobs s3://muster/fleet --s3-endpoint https://s3.example
)",
      .run = RunDoctor};
  return command;
}

}  // namespace muster::commands
