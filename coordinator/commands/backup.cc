// muster-coordinator backup and restore
#include "coordinator/upkeep/backup.h"

#include <nlohmann/json.hpp>

#include "coordinator/commands/command.h"
#include "coordinator/commands/state_layout.h"
#include "coordinator/commands/timeline_output.h"
#include "proto/core/files.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

constexpr size_t kMaxPassphraseBytes = 4096;

// The first line of the file; nothing without the option.
absl::StatusOr<std::string> PassphraseFrom(const CommandLine& line) {
  if (!line.Has("passphrase-file")) return std::string();
  MUSTER_ASSIGN_OR_RETURN(std::string text,
                          ReadFile(line.Get<std::string>("passphrase-file"), kMaxPassphraseBytes));
  text.resize(std::min(text.size(), text.find('\n')));
  if (text.empty()) return absl::InvalidArgumentError("--passphrase-file: the first line is empty");
  return text;
}

absl::StatusOr<PackageVerifier> VerifierOf(const std::filesystem::path& state_dir) {
  MUSTER_ASSIGN_OR_RETURN(const PackageSigner signer,
                          PackageSigner::Open(state_dir / kPackageKeyFile));
  return PackageVerifier::FromPublicKeyPem(signer.public_key_pem());
}

absl::StatusOr<int> RunBackup(CommandLine& line) {
  po::options_description options = CommonOptions();
  options.add_options()(
      "out,o", po::value<std::string>()->required()->value_name("DIR"),
      "folder of the backup; one that holds an older backup is brought up to date")(
      "passphrase-file", po::value<std::string>()->value_name("FILE"),
      "back up the keys too, under the passphrase in FILE's first line")(
      "json", po::bool_switch(), "print the result as JSON");
  if (!line.Parse(options)) return kExitDone;
  const std::filesystem::path state_dir = line.Get<std::string>("state-dir");
  MUSTER_ASSIGN_OR_RETURN(const std::string passphrase, PassphraseFrom(line));
  MUSTER_ASSIGN_OR_RETURN(const PackageVerifier verifier, VerifierOf(state_dir));
  std::error_code error;
  if (!std::filesystem::exists(state_dir / kSqliteFile, error)) {
    return absl::FailedPreconditionError(
        StrCat("there is no SQLite store in ", state_dir.string(),
               ". One in PostgreSQL is backed up with pg_dump, or a base backup and WAL archiving;",
               " its blobs with the object store's own means. After one was restored run",
               " `muster-coordinator timeline new` before any coordinator serves"));
  }
  SystemRandom random;
  MUSTER_ASSIGN_OR_RETURN(const BackupReport report,
                          MakeBackup(LayoutOf(state_dir), line.Get<std::string>("out"), verifier,
                                     passphrase, random, SystemClock().Now()));
  if (line.Get<bool>("json")) {
    line.out() << nlohmann::json{{"blobs", report.blobs},
                                 {"bytes", report.bytes},
                                 {"copied", report.copied},
                                 {"copied_bytes", report.copied_bytes},
                                 {"keys", report.keys}}
                      .dump()
               << "\n";
    return kExitDone;
  }
  line.out() << "backed up the store and " << report.blobs << " blobs, " << report.bytes
             << " bytes; copied now: " << report.copied << ", " << report.copied_bytes
             << " bytes; everything was read again and is whole\n"
             << (report.keys ? "with the keys, under the passphrase\n"
                             : "without the keys: keep a copy of them yourself, or give "
                               "--passphrase-file\n");
  return kExitDone;
}

nlohmann::json JsonOf(const RestoreReport& report) {
  nlohmann::json json = TimelineJson(report.timeline);
  json["blobs"] = report.blobs;
  json["bytes"] = report.bytes;
  json["keys"] = report.keys;
  json["backup_unix_us"] = report.created.unix_us;
  return json;
}

absl::StatusOr<int> RunRestore(CommandLine& line) {
  po::options_description options = CommonOptions();
  options.add_options()("from", po::value<std::string>()->required()->value_name("DIR"),
                        "the backup")(
      "passphrase-file", po::value<std::string>()->value_name("FILE"),
      "restore the keys too, with the passphrase in FILE's first line")("json", po::bool_switch(),
                                                                        "print the result as JSON");
  if (!line.Parse(options)) return kExitDone;
  const std::filesystem::path state_dir = line.Get<std::string>("state-dir");
  MUSTER_ASSIGN_OR_RETURN(const std::string passphrase, PassphraseFrom(line));
  SystemRandom random;
  MUSTER_ASSIGN_OR_RETURN(const RestoreReport report,
                          RestoreBackup(LayoutOf(state_dir), line.Get<std::string>("from"),
                                        passphrase, random, DriveOptions{}, SystemClock().Now()));
  if (line.Get<bool>("json")) {
    line.out() << JsonOf(report).dump() << "\n";
    return kExitDone;
  }
  line.out() << "restored the store and " << report.blobs << " blobs, " << report.bytes
             << " bytes, as of " << report.created.ToString() << "\n";
  PrintTimeline(line.out(), report.timeline);
  line.out() << "Next: muster-coordinator serve --state-dir " << state_dir.string() << "\n";
  return kExitDone;
}

}  // namespace

const Command& BackupCommand() {
  static const Command command = {
      .name = "backup",
      .summary = "copies the store and its blobs to a folder, while the coordinator serves",
      .synopsis = "--state-dir DIR --out DIR [--passphrase-file FILE]",
      .description =
          R"(Takes one committed state of the SQLite store, and copies the blobs that it refers to.
Blobs that are in the folder already are not copied again, so a backup that was stopped
goes on, and the next one into the same folder is quick. At the end everything is read
again and compared with its digest; backup.json comes last: without it there is no
backup.

The keys are left out unless --passphrase-file is given: then the CA, the package key
and the at-rest key are added under that passphrase (scrypt, AES-256-GCM).

Not in a backup: open rounds, which begin anew after a restore, and uploads. A store in
PostgreSQL is backed up with its own tools: pg_dump, or a base backup with WAL archiving
for any point in time; its blobs with those of the object store. Restored with those, it
needs `muster-coordinator timeline new`.
)",
      .examples =
          R"(muster-coordinator backup -d /var/lib/muster --out /backup/muster
muster-coordinator backup -d /var/lib/muster --out /backup/muster --passphrase-file pass
)",
      .run = RunBackup};
  return command;
}

const Command& RestoreCommand() {
  static const Command command = {
      .name = "restore",
      .summary = "makes a coordinator from a backup, in an empty folder",
      .synopsis = "--state-dir DIR --from DIR [--passphrase-file FILE]",
      .description =
          R"(Reads all of the backup and compares it with its digests before it writes anything; then
makes the state folder, which must be empty but for keys that you put there. A backup of
a newer schema is refused. A restore that was stopped leaves a file RESTORING: empty the
folder, and restore again.

Devices may be ahead of the backup. So no round, invocation or session of secure
aggregation that was open goes on: each job that was not over goes on as a new job, from
its newest model version in the backup. The generation of desired state moves past all
that devices may have seen. Join tokens that were open are revoked.

What was done after the backup is lost: revocations have to be made again, devices that
enrolled since have to enrol again, and privacy budgets do not count the sums since.
)",
      .examples =
          R"(muster-coordinator restore -d /var/lib/muster --from /backup/muster --passphrase-file pass
)",
      .run = RunRestore};
  return command;
}

}  // namespace muster::commands
