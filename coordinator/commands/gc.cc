// muster-coordinator gc
#include <filesystem>
#include <nlohmann/json.hpp>

#include "coordinator/blobs/open_blobs.h"
#include "coordinator/commands/blob_options.h"
#include "coordinator/commands/command.h"
#include "coordinator/commands/retention_options.h"
#include "coordinator/serve.h"
#include "coordinator/store/open_store.h"
#include "coordinator/upkeep/garbage.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

nlohmann::json JsonOf(const GarbageReport& report, bool dry_run) {
  return {{"dry_run", dry_run},
          {"versions", report.versions},
          {"optimizer_states", report.optimizer_states},
          {"invocations", report.invocations},
          {"usage_rows", report.usage},
          {"audit_rows", report.audit},
          {"uploads", report.uploads},
          {"upload_bytes", report.upload_bytes},
          {"blobs", report.blobs},
          {"blob_bytes", report.blob_bytes},
          {"released_blobs", report.released_blobs},
          {"released_bytes", report.released_bytes}};
}

void Print(std::ostream& out, const GarbageReport& report, bool dry_run) {
  out << (dry_run ? "would remove\n" : "removed\n") << "  model versions                  "
      << report.versions << "\n"
      << "  optimizer states of older ones  " << report.optimizer_states << "\n"
      << "  rows of invocations             " << report.invocations << "\n"
      << "  rows of usage                   " << report.usage << "\n"
      << "  rows of the audit log           " << report.audit << "\n"
      << "  uploads that nobody took        " << report.uploads << ", " << report.upload_bytes
      << " bytes\n"
      << "  blobs that nothing refers to    " << report.blobs << ", " << report.blob_bytes
      << " bytes\n"
      << (dry_run ? "would let go" : "let go") << ", for a run after the grace period\n"
      << "  blobs                           " << report.released_blobs << ", "
      << report.released_bytes << " bytes\n";
}

struct Places {
  std::filesystem::path state_dir;
  std::string store_url;
  BlobPlaces blobs;
};

absl::StatusOr<std::unique_ptr<StateStore>> OpenTheStore(const Places& places, bool dry_run) {
  // A dry run only reads, so it goes beside a running coordinator.
  if (dry_run) return OpenStoreForReading(places.store_url, places.state_dir);
  auto store = OpenStore(places.store_url, places.state_dir);
  if (!absl::IsFailedPrecondition(store.status())) return store;
  return absl::FailedPreconditionError(
      StrCat(StdView(store.status().message()),
             ". A running coordinator collects garbage itself: `serve --gc-every-hours`; "
             "--dry-run works beside it"));
}

// In folders a dry run opens no staging area: the running coordinator has it.
absl::StatusOr<OpenedBlobs> OpenTheBlobs(const Places& places, bool dry_run) {
  if (IsSharedStore(places.store_url) && places.blobs.url.empty() && !dry_run) {
    return absl::FailedPreconditionError(
        "nothing says whether a coordinator has this folder of blobs at the moment, so only that "
        "coordinator collects garbage in it: `serve --gc-every-hours`; --dry-run works beside it");
  }
  BlobPlaces blobs = places.blobs;
  blobs.blob_folder = places.state_dir / kBlobFolder;
  blobs.staging_folder = places.state_dir / kStagingFolder;
  if (blobs.url.empty() && dry_run) return OpenBlobsForReading(blobs);
  MUSTER_ASSIGN_OR_RETURN(blobs.at_rest_keys, AtRestKeys::Open(places.state_dir / kAtRestKeyFile));
  return dry_run ? OpenBlobsForReading(blobs) : OpenBlobs(blobs);
}

absl::StatusOr<GarbageReport> Run(const Places& places, const GarbagePolicy& policy, bool dry_run) {
  MUSTER_ASSIGN_OR_RETURN(const PackageSigner signer,
                          PackageSigner::Open(places.state_dir / kPackageKeyFile));
  MUSTER_ASSIGN_OR_RETURN(const PackageVerifier verifier,
                          PackageVerifier::FromPublicKeyPem(signer.public_key_pem()));
  const Timestamp now = SystemClock().Now();
  MUSTER_ASSIGN_OR_RETURN(const auto store, OpenTheStore(places, dry_run));
  MUSTER_ASSIGN_OR_RETURN(const OpenedBlobs opened, OpenTheBlobs(places, dry_run));
  const GarbageContext context{.store = *store,
                               .blobs = *opened.blobs,
                               .staging = opened.staging.get(),
                               .staging_folder = places.state_dir / kStagingFolder,
                               .verifier = verifier,
                               .audit_writer = DriveOptions{}.replica,
                               .actor = "command/gc"};
  return dry_run ? FindGarbage(context, policy, now) : CollectGarbage(context, policy, now);
}

absl::StatusOr<int> RunGc(CommandLine& line) {
  Places places;
  po::options_description options = CommonOptions();
  options.add_options()("store",
                        po::value(&places.store_url)->default_value("sqlite")->value_name("URL"),
                        "as for `serve`");
  AddRetentionOptions(options);
  options.add_options()("dry-run,n", po::bool_switch(), "only say what would be removed")(
      "json", po::bool_switch(), "print the result as JSON");
  options.add(BlobOptionsFor(places.blobs));
  if (!line.Parse(options)) return kExitDone;
  places.state_dir = line.Get<std::string>("state-dir");
  MUSTER_ASSIGN_OR_RETURN(const GarbagePolicy policy, RetentionFrom(line));
  const bool dry_run = line.Get<bool>("dry-run");
  MUSTER_ASSIGN_OR_RETURN(const GarbageReport report, Run(places, policy, dry_run));
  if (line.Get<bool>("json")) {
    line.out() << JsonOf(report, dry_run).dump() << "\n";
  } else {
    Print(line.out(), report, dry_run);
  }
  return kExitDone;
}

}  // namespace

const Command& GcCommand() {
  static const Command command = {
      .name = "gc",
      .summary = "removes what nobody needs any more; --dry-run says what",
      .synopsis = "--state-dir DIR [--store URL] [--blobs URL] [--dry-run] [--keep-versions N]",
      .description =
          R"(Lets old rows go by the policy that the options make, then removes blobs that nothing
in the store refers to, and uploads that no round took.

Never removed: versions that are promoted and not rolled back, whatever a job that is
not over needs, and the newest version of a model with its optimizer state. A blob
goes only when it was neither written nor let go within the grace period: so the blobs
of versions that this run removes go in a run after it.

With SQLite the coordinator must be stopped, or collects garbage itself (`serve
--gc-every-hours`). --dry-run only reads, and works beside it. With PostgreSQL and an
S3-compatible store this works beside the replicas, which collect themselves too. If a package
that is in use cannot be opened, nothing is removed: run `muster-coordinator doctor`.
)",
      .examples = R"(muster-coordinator gc -d /var/lib/muster --keep-versions 20 --dry-run
muster-coordinator gc -d /var/lib/muster --keep-versions 20 --keep-history-days 90
)",
      .run = RunGc};
  return command;
}

}  // namespace muster::commands
