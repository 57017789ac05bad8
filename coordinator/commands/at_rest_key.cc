// muster-coordinator at-rest-key new and rotate
#include <filesystem>

#include "coordinator/blobs/at_rest/at_rest_keys.h"
#include "coordinator/commands/command.h"
#include "coordinator/serve.h"
#include "proto/core/random.h"
#include "proto/core/status.h"

namespace muster::commands {
namespace {

std::filesystem::path KeyFile(const CommandLine& line) {
  return std::filesystem::path(line.Get<std::string>("state-dir")) / kAtRestKeyFile;
}

absl::StatusOr<int> RunNew(CommandLine& line) {
  if (!line.Parse(CommonOptions())) return kExitDone;
  SystemRandom random;
  MUSTER_RETURN_IF_ERROR(AtRestKeys::Create(KeyFile(line), random));
  line.out() << "made " << KeyFile(line).string() << ": keep a copy of it\n";
  return kExitDone;
}

absl::StatusOr<int> RunRotate(CommandLine& line) {
  if (!line.Parse(CommonOptions())) return kExitDone;
  SystemRandom random;
  MUSTER_RETURN_IF_ERROR(AtRestKeys::Rotate(KeyFile(line), random));
  MUSTER_ASSIGN_OR_RETURN(const auto keys, AtRestKeys::Open(KeyFile(line)));
  line.out() << "the newest of " << keys->count() << " keys is " << KeyIdText(keys->current_id())
             << "; a coordinator that runs seals with it from its next start on\n";
  return kExitDone;
}

}  // namespace

const Command& AtRestKeyNewCommand() {
  static const Command command = {
      .name = "at-rest-key new",
      .summary = "makes the key that seals updates on the disk, where there is none",
      .synopsis = "--state-dir DIR",
      .description =
          R"(Makes STATE-DIR/at-rest-key (0600). `init` does so too: this is for a folder from before
there were such keys, or whose key is lost. Uploads and partial sums that another key
sealed cannot be read without it: devices upload again, and a round whose sum is lost
is abandoned and tried again.
)",
      .examples = "muster-coordinator at-rest-key new -d /var/lib/muster\n",
      .run = RunNew};
  return command;
}

const Command& AtRestKeyRotateCommand() {
  static const Command command = {
      .name = "at-rest-key rotate",
      .summary = "seals with a new key from the next start on; old ones still open",
      .synopsis = "--state-dir DIR",
      .description =
          R"(Puts a new key in front of STATE-DIR/at-rest-key. What older keys sealed can still be
read. Uploads and partial sums live no longer than their round: after a week or so the
last line of the file, the oldest key, can be taken out. At most 16 keys.
)",
      .examples = "muster-coordinator at-rest-key rotate -d /var/lib/muster\n",
      .run = RunRotate};
  return command;
}

}  // namespace muster::commands
