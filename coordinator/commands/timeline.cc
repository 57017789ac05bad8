// muster-coordinator timeline new
#include "coordinator/upkeep/timeline.h"

#include "coordinator/commands/command.h"
#include "coordinator/commands/timeline_output.h"
#include "coordinator/store/open_store.h"
#include "proto/core/random.h"
#include "proto/core/status.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

// An empty database would be made a store, and nothing said about the one that was restored.
absl::Status CheckThereIsAStore(const std::string& url, const std::filesystem::path& state_dir) {
  MUSTER_ASSIGN_OR_RETURN(const StoreSchema schema, InspectSchema(url, state_dir));
  if (schema.found > 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "the database is empty: restore it first, or see that --store names the restored one");
}

absl::StatusOr<int> RunTimelineNew(CommandLine& line) {
  po::options_description options = CommonOptions();
  options.add_options()("store",
                        po::value<std::string>()->default_value("sqlite")->value_name("URL"),
                        "as for `serve`")(
      "backup", po::value<std::string>()->default_value("of other tools")->value_name("TEXT"),
      "what it was restored from, for the audit log")("json", po::bool_switch(),
                                                      "print the result as JSON");
  if (!line.Parse(options)) return kExitDone;
  const std::filesystem::path state_dir = line.Get<std::string>("state-dir");
  const auto url = line.Get<std::string>("store");
  MUSTER_RETURN_IF_ERROR(CheckNobodyServes(url));
  MUSTER_RETURN_IF_ERROR(CheckThereIsAStore(url, state_dir));
  MUSTER_ASSIGN_OR_RETURN(const auto store, OpenStore(url, state_dir));
  SystemRandom random;
  MUSTER_ASSIGN_OR_RETURN(const NewTimeline timeline,
                          BeginNewTimeline(*store, random, DriveOptions{}, SystemClock().Now(),
                                           line.Get<std::string>("backup")));
  if (line.Get<bool>("json")) {
    line.out() << TimelineJson(timeline).dump() << "\n";
    return kExitDone;
  }
  PrintTimeline(line.out(), timeline);
  line.out() << "Next, with the same --store and --blobs: muster-coordinator doctor, then serve\n";
  return kExitDone;
}

}  // namespace

const Command& TimelineNewCommand() {
  static const Command command = {
      .name = "timeline new",
      .summary = "makes a store safe that other tools took back in time",
      .synopsis = "--state-dir DIR --store URL [--backup TEXT] [--json]",
      .description =
          R"(After a store was restored by anything but `restore`, and before a coordinator serves
from it: PostgreSQL by pg_restore, by recovery to a point in time or from a snapshot, or
an SQLite store by a snapshot of its disk. Devices may be ahead of what was restored, and
secure aggregation is safe only if they never meet again what they remember.

In one transaction each job that was not over ends, with its open round, and goes on as a
new job from its newest model version. The generation of desired state moves past all
that devices may have seen. Join tokens that were open are revoked. The audit log says
so. A second run is safe too: it begins one more timeline.

All coordinators must be stopped, and stay so until this has ended. It refuses while
sessions are connected to the database that are called muster-coordinator there, or as
its own is (pg_stat_activity); not seen are coordinators whose URLs give them another
application_name than the one given here. An SQLite store is locked by who serves from it.

What was done after the backup is lost: revocations have to be made again, devices that
enrolled since have to enrol again, and privacy budgets do not count the sums since. A
blob that was collected since is missing: run `doctor` with the same --store and --blobs.
)",
      .exit_status =
          "0  done\n"
          "1  failed, or refused because a coordinator is connected\n"
          "2  wrong usage\n",
      .examples =
          R"(pg_restore -d postgresql://db.example/muster muster.dump &&
    muster-coordinator timeline new -d keys --store postgresql://db.example/muster \
        --backup 'muster.dump of 2026-01-02'
muster-coordinator timeline new -d /var/lib/muster    # after a snapshot of the disk came back
)",
      .run = RunTimelineNew};
  return command;
}

}  // namespace muster::commands
