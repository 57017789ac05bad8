#include "coordinator/upkeep/doctor.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <set>
#include <system_error>
#include <utility>

#include "coordinator/blobs/at_rest/at_rest_keys.h"
#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/identity/authority.h"
#include "coordinator/store/sqlite/maintenance.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "coordinator/upkeep/backup.h"
#include "coordinator/upkeep/garbage.h"
#include "coordinator/upkeep/references.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;

constexpr Duration kCertificateWarning = hours(24 * 90);
constexpr Duration kClockSlack = hours(24);
constexpr Duration kStuckAfter = hours(1);
constexpr uint64_t kDiskProblemBytes = 64ull << 20;
constexpr double kDiskWarningShare = 0.1;
constexpr size_t kNamed = 3;  // that a result names one by one

using Results = std::vector<CheckResult>;

void Add(Results& results, std::string check, Finding finding, std::string text,
         std::string advice = "") {
  results.push_back({std::move(check), finding, std::move(text), std::move(advice)});
}

void AddError(Results& results, std::string check, const absl::Status& status) {
  Add(results, std::move(check), Finding::kProblem, std::string(StdView(status.message())));
}

void CheckSecretFile(const fs::path& file, Results& results) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) {
    return Add(results, "keys", Finding::kProblem, StrCat(file.string(), " is not there"),
               "restore it from your copy; a coordinator does not start without it");
  }
  if ((info.st_mode & 077) != 0) {
    return Add(results, "keys", Finding::kProblem,
               StrCat(file.string(), " can be read by others than its owner"),
               StrCat("chmod 600 ", file.string()));
  }
  Add(results, "keys", Finding::kFine, StrCat(file.string(), " is its owner's alone"));
}

void CheckKeys(const DoctorOptions& options, Results& results) {
  const fs::path identity = options.state_dir / options.identity;
  const auto authorities = ReadCaState(identity);
  if (!authorities.ok()) AddError(results, "keys", authorities.status());
  for (const uint32_t number : authorities.value_or(CaState()).trusted) {
    CheckSecretFile(identity / CaKeyFileOf(number), results);
  }
  CheckSecretFile(options.state_dir / options.package_key, results);
  CheckSecretFile(options.state_dir / options.at_rest_key, results);
  const auto signer = PackageSigner::Open(options.state_dir / options.package_key);
  if (!signer.ok()) AddError(results, "keys", signer.status());
  const auto at_rest = AtRestKeys::Open(options.state_dir / options.at_rest_key);
  if (!at_rest.ok()) AddError(results, "keys", at_rest.status());
}

void CheckCertificate(const DoctorOptions& options, Timestamp now, Results& results) {
  const auto authority = CertificateAuthority::Open(options.state_dir / options.identity);
  if (!authority.ok()) return AddError(results, "certificate", authority.status());
  const auto certificate = Certificate::FromPem(authority->ca_pem());
  if (!certificate.ok()) return AddError(results, "certificate", certificate.status());
  const Timestamp until = certificate->not_after();
  if (until <= now) {
    return Add(results, "certificate", Finding::kProblem,
               StrCat("the CA's certificate expired at ", until.ToString()),
               "see that the clock is right; every device is locked out");
  }
  Add(results, "certificate",
      until - now < kCertificateWarning ? Finding::kWarning : Finding::kFine,
      StrCat("the CA's certificate is good until ", until.ToString()),
      until - now < kCertificateWarning ? "replace it: `muster-coordinator ca rotate`" : "");
}

// What was done lies in the past.
void CheckClock(const StoreReader& reader, Timestamp now, Results& results) {
  const auto newest = reader.ListAudit({}, {.limit = 1});
  if (!newest.ok()) return AddError(results, "clock", newest.status());
  if (!newest->empty() && newest->front().at > now + kClockSlack) {
    return Add(results, "clock", Finding::kProblem,
               StrCat("it is ", now.ToString(), ", but something was done at ",
                      newest->front().at.ToString()),
               "set the clock: certificates, deadlines and tokens depend on it");
  }
  Add(results, "clock", Finding::kFine, StrCat("it is ", now.ToString()));
}

// True if the store can be opened.
bool CheckSchema(const DoctorOptions& options, Results& results) {
  const fs::path file = options.state_dir / kSqliteFile;
  const auto schema = InspectSqliteSchema(file);
  if (!schema.ok()) {
    AddError(results, "schema", schema.status());
    return false;
  }
  if (schema->found > schema->newest) {
    Add(results, "schema", Finding::kProblem,
        StrCat("version ", schema->found, " is newer than this program's ", schema->newest),
        "run the newer program");
    return false;
  }
  if (!schema->pending.empty()) {
    Add(results, "schema", Finding::kWarning,
        StrCat("version ", schema->found, ", this program's is ", schema->newest),
        "muster-coordinator migrate");
    return false;
  }
  Add(results, "schema", Finding::kFine, StrCat("version ", schema->found));
  const absl::Status intact = CheckSqliteIntegrity(file);
  if (!intact.ok()) {
    AddError(results, "database", intact);
    return false;
  }
  Add(results, "database", Finding::kFine, "SQLite finds no damage");
  return true;
}

void CheckDisk(const DoctorOptions& options, Results& results) {
  struct statvfs info {};
  if (::statvfs(options.state_dir.c_str(), &info) != 0) {
    return AddError(results, "disk", ErrnoStatus(errno, "inspecting", options.state_dir));
  }
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
  const double share =
      info.f_blocks == 0 ? 1
                         : static_cast<double>(info.f_bavail) / static_cast<double>(info.f_blocks);
  const Finding finding = free < kDiskProblemBytes    ? Finding::kProblem
                          : share < kDiskWarningShare ? Finding::kWarning
                                                      : Finding::kFine;
  Add(results, "disk", finding, StrCat(free >> 20, " MiB are free"),
      finding == Finding::kFine ? "" : "make room, or run `muster-coordinator gc --dry-run`");
}

absl::Status CheckBlob(const BlobStore& blobs, const Digest& digest, bool deep) {
  MUSTER_ASSIGN_OR_RETURN(const auto reader, blobs.Open(digest));
  if (!deep) return absl::OkStatus();
  std::vector<char> buffer(limits::kChunkBytes);
  Sha256Hasher hasher;
  for (uint64_t offset = 0; offset < reader->size();) {
    MUSTER_ASSIGN_OR_RETURN(const size_t got, reader->ReadAt(offset, buffer));
    hasher.Update({buffer.data(), got});
    offset += got;
  }
  if (hasher.Finish() == digest) return absl::OkStatus();
  return absl::DataLossError(StrCat("blob ", digest.hex(), " is damaged"));
}

void CheckReferences(const BlobStore& blobs, const std::set<Digest>& used, bool deep,
                     Results& results) {
  std::vector<std::string> bad;
  size_t count = 0;
  for (const Digest& digest : used) {
    const absl::Status status = CheckBlob(blobs, digest, deep);
    if (status.ok()) continue;
    if (++count <= kNamed) bad.emplace_back(StdView(status.message()));
  }
  if (count == 0) {
    return Add(results, "blobs", Finding::kFine,
               StrCat(used.size(), " that are referred to are there",
                      deep ? ", whole" : "; --deep reads them too"));
  }
  Add(results, "blobs", Finding::kProblem,
      StrCat(count, " of ", used.size(), " are missing or damaged: ", StrJoin(bad, "; ")),
      "copy them from a backup into the folder of blobs");
}

void CheckOrphans(const BlobStore& blobs, const std::set<Digest>& used, Timestamp now,
                  Results& results) {
  uint64_t count = 0, bytes = 0;
  const absl::Status listed = blobs.List([&](const BlobInfo& blob) {
    if (used.contains(blob.digest) || blob.modified >= now - GarbagePolicy{}.grace) {
      return absl::OkStatus();
    }
    ++count;
    bytes += blob.size;
    return absl::OkStatus();
  });
  if (!listed.ok()) return AddError(results, "orphans", listed);
  Add(results, "orphans", count == 0 ? Finding::kFine : Finding::kWarning,
      StrCat(count, " blobs that nothing refers to, ", bytes, " bytes"),
      count == 0 ? "" : "muster-coordinator gc --dry-run");
}

void CheckTasks(const StoreReader& reader, Timestamp now, Results& results) {
  const auto due = reader.NextTaskDue();
  if (!due.ok()) return AddError(results, "tasks", due.status());
  if (due->has_value() && **due + kStuckAfter < now) {
    return Add(results, "tasks", Finding::kWarning,
               StrCat("one is due since ", (*due)->ToString(), " and nobody does it"),
               "see that a coordinator runs, and its log for why it fails");
  }
  Add(results, "tasks", Finding::kFine, "none is overdue");
}

void CheckStaging(const DoctorOptions& options, Timestamp now, Results& results) {
  const Timestamp before = now - GarbagePolicy{}.keep_uploads;
  uint64_t count = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(options.state_dir / options.staging, error), end;
       !error && it != end; it.increment(error)) {
    struct stat info {};
    if (::stat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    count += Timestamp{int64_t{info.st_mtim.tv_sec} * 1'000'000} < before ? 1 : 0;
  }
  Add(results, "staging", count == 0 ? Finding::kFine : Finding::kWarning,
      StrCat(count, " uploads that nobody took for days"),
      count == 0 ? "" : "muster-coordinator gc --dry-run");
}

void CheckContent(const DoctorOptions& options, Timestamp now, Results& results) {
  const auto store = OpenSqliteForReading({.directory = options.state_dir});
  if (!store.ok()) return AddError(results, "store", store.status());
  const auto blobs = OpenDirectoryBlobsForReading(options.state_dir / options.blobs);
  if (!blobs.ok()) return AddError(results, "blobs", blobs.status());
  const auto signer = PackageSigner::Open(options.state_dir / options.package_key);
  if (!signer.ok()) return;  // said above
  const auto verifier = PackageVerifier::FromPublicKeyPem(signer->public_key_pem());
  if (!verifier.ok()) return AddError(results, "keys", verifier.status());
  ReferenceFinder finder(**blobs, *verifier);
  const absl::Status read = (*store)->Read([&](const StoreReader& reader) -> absl::Status {
    CheckClock(reader, now, results);
    CheckTasks(reader, now, results);
    MUSTER_ASSIGN_OR_RETURN(const auto used, finder.Find(reader));
    CheckReferences(**blobs, used, options.deep, results);
    CheckOrphans(**blobs, used, now, results);
    return absl::OkStatus();
  });
  if (!read.ok()) AddError(results, "blobs", read);
}

}  // namespace

std::string_view FindingName(Finding finding) {
  static constexpr std::string_view kNames[] = {"fine", "warning", "problem"};
  return kNames[static_cast<size_t>(finding)];
}

std::vector<CheckResult> Examine(const DoctorOptions& options, Timestamp now) {
  Results results;
  std::error_code error;
  if (fs::exists(options.state_dir / kRestoringFile, error)) {
    Add(results, "restore", Finding::kProblem, "a restore was stopped in the middle",
        "empty the folder, and restore again");
  }
  CheckKeys(options, results);
  CheckCertificate(options, now, results);
  CheckDisk(options, results);
  CheckStaging(options, now, results);
  if (CheckSchema(options, results)) CheckContent(options, now, results);
  return results;
}

}  // namespace muster
