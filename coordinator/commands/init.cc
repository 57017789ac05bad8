// muster-coordinator init
#include "coordinator/init.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "coordinator/commands/command.h"
#include "proto/core/status.h"
#include "proto/x509/spiffe.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

absl::StatusOr<int> RunInit(CommandLine& line) {
  po::options_description options = CommonOptions();
  options.add_options()(
      "trust-domain",
      po::value<std::string>()->default_value(kDefaultTrustDomain)->value_name("NAME"),
      "SPIFFE trust domain of all identities")(
      "store", po::value<std::string>()->default_value("sqlite")->value_name("URL"),
      "where the store is made; as for `serve`")(
      "operator", po::value<std::string>()->default_value("admin")->value_name("NAME"),
      "name of the first operator")(
      "credential-out", po::value<std::string>()->value_name("DIR"),
      "folder for the operator's credential (default: STATE-DIR/credentials/NAME)")(
      "json", po::bool_switch(), "print the result as JSON");
  if (!line.Parse(options)) return kExitDone;
  const std::filesystem::path state_dir = line.Get<std::string>("state-dir");
  const std::string name = line.Get<std::string>("operator");
  std::filesystem::path out = state_dir / "credentials" / name;
  if (line.Has("credential-out")) out = line.Get<std::string>("credential-out");
  MUSTER_ASSIGN_OR_RETURN(const std::string pin,
                          InitCoordinator(state_dir, line.Get<std::string>("trust-domain"),
                                          line.Get<std::string>("store")));
  MUSTER_RETURN_IF_ERROR(
      IssueCredential(state_dir, Role::kOperator, name, out, kDefaultCredentialLifetime));
  if (line.Get<bool>("json")) {
    line.out() << nlohmann::json{{"ca_pin", pin}, {"credential", out.string()}}.dump() << "\n";
    return kExitDone;
  }
  line.out() << "CA pin               " << pin << "\n"
             << "operator credential  " << out.string() << "\n\n"
             << "Next: muster-coordinator serve --state-dir " << state_dir.string() << "\n"
             << "      muster --credential " << out.string() << " tokens create\n";
  return kExitDone;
}

}  // namespace

const Command& InitCommand() {
  static const Command command = {
      .name = "init",
      .summary = "makes the CA, the signing key and the first operator's credential",
      .synopsis = "--state-dir DIR [--store URL] [--operator NAME] [--credential-out DIR]",
      .description =
          R"(Makes a coordinator in an empty folder: the certificate authority that signs every
identity of the fleet, the key that signs packages, the store, and a credential for
the first operator. Prints the CA pin that devices enrol with.

Overwrites nothing: a folder in which a coordinator lives is refused.
)",
      .examples = R"(muster-coordinator init --state-dir /var/lib/muster
muster-coordinator init --state-dir ./state --operator ada --credential-out ./ada --json
)",
      .run = RunInit};
  return command;
}

}  // namespace muster::commands
