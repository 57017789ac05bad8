// muster-coordinator pin
#include "coordinator/commands/command.h"
#include "coordinator/init.h"
#include "proto/core/status.h"

namespace muster::commands {
namespace {

absl::StatusOr<int> RunPin(CommandLine& line) {
  if (!line.Parse(CommonOptions())) return kExitDone;
  MUSTER_ASSIGN_OR_RETURN(const std::string pin, ReadCaPin(line.Get<std::string>("state-dir")));
  line.out() << pin << "\n";
  return kExitDone;
}

}  // namespace

const Command& PinCommand() {
  static const Command command = {
      .name = "pin",
      .summary = "prints the CA pin",
      .synopsis = "--state-dir DIR",
      .description =
          R"(Prints sha256: and the digest of the CA's public key. A device that enrols compares
the coordinator with it before it says anything: give it to devices over a way that
you trust, such as their image. While the CA is replaced, it is the pin of the one that
issues: another one from `ca switch` on.
)",
      .examples =
          "muster-client enroll --ca-pin \"$(muster-coordinator pin -d /var/lib/muster)\" ...\n",
      .run = RunPin};
  return command;
}

}  // namespace muster::commands
