#include "coordinator/upkeep/checks/state_folder.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <set>
#include <system_error>

#include "coordinator/blobs/at_rest/at_rest_keys.h"
#include "coordinator/identity/authority.h"
#include "coordinator/store/open_store.h"
#include "coordinator/upkeep/backup.h"
#include "proto/core/files.h"

namespace muster::checks {
namespace {

namespace fs = std::filesystem;

constexpr Duration kCertificateWarning = std::chrono::hours(24 * 90);
constexpr uint64_t kDiskProblemBytes = 64ull << 20;
constexpr double kDiskWarningShare = 0.1;

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

void CheckDisk(const fs::path& folder, Results& results) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) {
    return AddError(results, "disk", ErrnoStatus(errno, "inspecting", folder));
  }
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
  const double share =
      info.f_blocks == 0 ? 1
                         : static_cast<double>(info.f_bavail) / static_cast<double>(info.f_blocks);
  const Finding finding = free < kDiskProblemBytes    ? Finding::kProblem
                          : share < kDiskWarningShare ? Finding::kWarning
                                                      : Finding::kFine;
  Add(results, "disk", finding, StrCat(free >> 20, " MiB are free for ", folder.string()),
      finding == Finding::kFine ? "" : "make room, or run `muster-coordinator gc --dry-run`");
}

}  // namespace

void CheckRestore(const DoctorOptions& options, Results& results) {
  std::error_code error;
  if (!fs::exists(options.state_dir / kRestoringFile, error)) {
    return Add(results, "restore", Finding::kFine, "none was stopped in the middle");
  }
  Add(results, "restore", Finding::kProblem, "a restore was stopped in the middle",
      "empty the folder, and restore again");
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

void CheckDisks(const DoctorOptions& options, Results& results) {
  std::set<fs::path> folders = {options.state_dir};
  const auto database = SqliteFolder(options.store_url, options.state_dir);
  if (database.has_value()) folders.insert(*database);
  for (const fs::path& folder : folders) CheckDisk(folder, results);
  if (!database.has_value()) {
    Add(results, "disk", Finding::kFine,
        "the database's own cannot be seen from here: watch it where PostgreSQL runs");
  }
  if (!options.blobs.url.empty()) {
    Add(results, "disk", Finding::kFine,
        "the S3 store's own cannot be seen from here: watch it, or its quota, there");
  }
}

}  // namespace muster::checks
