#include "coordinator/commands/command.h"

namespace muster::commands {

// In the order of the manual page.
std::vector<const Command*> AllCommands() {
  return {
      &InitCommand(),     &CredentialCommand(), &ServeCommand(),        &PinCommand(),
      &CaStatusCommand(), &CaRotateCommand(),   &CaSwitchCommand(),     &CaRetireCommand(),
      &BackupCommand(),   &RestoreCommand(),    &TimelineNewCommand(),  &MigrateCommand(),
      &DoctorCommand(),   &GcCommand(),         &AtRestKeyNewCommand(), &AtRestKeyRotateCommand()};
}

}  // namespace muster::commands
