// muster-coordinator migrate
#include <nlohmann/json.hpp>

#include "coordinator/commands/command.h"
#include "coordinator/store/open_store.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

absl::StatusOr<int> RunMigrate(CommandLine& line) {
  po::options_description options = CommonOptions();
  options.add_options()(
      "store", po::value<std::string>()->default_value("sqlite")->value_name("URL"),
      "as for `serve`")("dry-run,n", po::bool_switch(), "only say which steps would run")(
      "json", po::bool_switch(), "print the result as JSON");
  if (!line.Parse(options)) return kExitDone;
  const std::filesystem::path state_dir = line.Get<std::string>("state-dir");
  const bool dry_run = line.Get<bool>("dry-run");
  const auto url = line.Get<std::string>("store");
  MUSTER_ASSIGN_OR_RETURN(const StoreSchema schema, InspectSchema(url, state_dir));
  if (!dry_run) MUSTER_RETURN_IF_ERROR(OpenStore(url, state_dir).status());
  if (line.Get<bool>("json")) {
    line.out() << nlohmann::json{{"dry_run", dry_run},
                                 {"found", schema.found},
                                 {"newest", schema.newest},
                                 {"steps", schema.pending}}
                      .dump()
               << "\n";
    return kExitDone;
  }
  if (schema.pending.empty()) {
    line.out() << "the schema is version " << schema.found << ": nothing to do\n";
    return kExitDone;
  }
  for (const std::string& step : schema.pending) {
    line.out() << (dry_run ? "would run " : "ran ") << step << "\n";
  }
  return kExitDone;
}

}  // namespace

const Command& MigrateCommand() {
  static const Command command = {
      .name = "migrate",
      .summary = "brings the store's schema to this program's; --dry-run says how",
      .synopsis = "--state-dir DIR [--store URL] [--dry-run]",
      .description =
          R"(Runs the numbered schema steps that the store has not seen, each in a transaction of its
own; over PostgreSQL under a lock, so that any number may try at once. `serve` does so
too, unless it was told --no-migrate: then it refuses an older schema, and migrating is a
step of its own, after a backup. There is no way back but a backup: a newer schema is
refused by older programs. --dry-run works beside a running coordinator.
)",
      .examples = R"(muster-coordinator migrate -d /var/lib/muster --dry-run
muster-coordinator backup -d /var/lib/muster --out /backup && muster-coordinator migrate -d /var/lib/muster
)",
      .run = RunMigrate};
  return command;
}

}  // namespace muster::commands
