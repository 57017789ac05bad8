// muster-coordinator credential
#include "coordinator/commands/command.h"
#include "coordinator/init.h"
#include "proto/core/status.h"
#include "proto/x509/spiffe.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

absl::StatusOr<int> RunCredential(CommandLine& line) {
  po::options_description options = CommonOptions();
  options.add_options()("role", po::value<std::string>()->required()->value_name("ROLE"),
                        "researcher or operator")(
      "name", po::value<std::string>()->required()->value_name("NAME"), "who it is for")(
      "out,o", po::value<std::string>()->required()->value_name("DIR"), "folder to make")(
      "days", po::value<int>()->default_value(365)->value_name("DAYS"), "lifetime, 1 to 825");
  if (!line.Parse(options)) return kExitDone;
  MUSTER_ASSIGN_OR_RETURN(const Role role, ParseRole(line.Get<std::string>("role")));
  if (role == Role::kDevice) {
    return absl::InvalidArgumentError(
        "devices get their identity by enrolment: `muster tokens create`, then `muster-client"
        " enroll` on the device");
  }
  MUSTER_RETURN_IF_ERROR(IssueCredential(
      line.Get<std::string>("state-dir"), role, line.Get<std::string>("name"),
      line.Get<std::string>("out"), std::chrono::hours(24) * line.Get<int>("days")));
  return kExitDone;
}

}  // namespace

const Command& CredentialCommand() {
  static const Command command = {
      .name = "credential",
      .summary = "makes a credential folder for one more researcher or operator",
      .synopsis = "--state-dir DIR --role researcher|operator --name NAME --out DIR",
      .description =
          R"(Makes a key and a certificate signed by the coordinator's CA, in a folder that
`muster --credential DIR` takes: ca.pem, cert.pem and key.pem (0600). Researchers
submit jobs and fetch models; operators may also admit and revoke devices and
promote models. A folder that holds a credential already is refused.
)",
      .examples =
          R"(muster-coordinator credential --role researcher --name ada --out ada/
muster-coordinator credential --role operator --name ci --days 30 --out ci/
)",
      .run = RunCredential};
  return command;
}

}  // namespace muster::commands
