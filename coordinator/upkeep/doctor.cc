#include "coordinator/upkeep/doctor.h"

#include <set>

#include "coordinator/store/open_store.h"
#include "coordinator/upkeep/checks/blobs.h"
#include "coordinator/upkeep/checks/database.h"
#include "coordinator/upkeep/checks/state_folder.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using checks::AddError;
using checks::AddUnchecked;
using checks::Results;

absl::StatusOr<PackageVerifier> VerifierOf(const DoctorOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(const PackageSigner signer,
                          PackageSigner::Open(options.state_dir / options.package_key));
  return PackageVerifier::FromPublicKeyPem(signer.public_key_pem());
}

absl::StatusOr<OpenedBlobs> OpenTheBlobs(const DoctorOptions& options) {
  BlobPlaces places = options.blobs;
  // Blobs can be looked at without it; that it is missing is said beside the other keys.
  auto keys = AtRestKeys::Open(options.state_dir / options.at_rest_key);
  if (keys.ok()) places.at_rest_keys = *std::move(keys);
  auto opened = OpenBlobsForReading(places);
  if (opened.ok() && places.at_rest_keys == nullptr) opened->staging = nullptr;
  return opened;
}

void CheckStaging(const DoctorOptions& options, const absl::StatusOr<OpenedBlobs>& opened,
                  Timestamp now, Results& results) {
  if (options.blobs.url.empty()) return checks::CheckUploads(options, nullptr, now, results);
  if (!opened.ok()) return AddError(results, "staging", opened.status());
  if (opened->staging != nullptr) {
    return checks::CheckUploads(options, opened->staging.get(), now, results);
  }
  AddUnchecked(results, {"staging"}, Finding::kProblem, "the at-rest key cannot be read");
}

void CheckReferences(const DoctorOptions& options, const StateStore& store,
                     const absl::StatusOr<OpenedBlobs>& opened, Timestamp now, Results& results) {
  if (!opened.ok()) {
    AddError(results, "blobs", opened.status());
    return AddUnchecked(results, {"orphans"}, Finding::kProblem, "the blobs cannot be had");
  }
  const auto verifier = VerifierOf(options);
  if (!verifier.ok()) {
    return AddUnchecked(results, {"blobs", "orphans"}, Finding::kProblem,
                        "without the package key nobody knows what packages refer to");
  }
  ReferenceFinder finder(*opened->blobs, *verifier);
  std::set<Digest> used;
  const absl::Status found = store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(used, finder.Find(reader));
    return absl::OkStatus();
  });
  if (!found.ok()) {
    AddError(results, "blobs", found, "bring the package back from a backup of the blobs");
    return AddUnchecked(results, {"orphans"}, Finding::kProblem,
                        "nobody knows all that is referred to");
  }
  // Reading blobs takes its time, which no snapshot of the store should last.
  checks::CheckBlobs({store, *opened->blobs, finder, !options.blobs.url.empty(), options.deep},
                     used, now, results);
}

void CheckStore(const DoctorOptions& options, const absl::StatusOr<OpenedBlobs>& opened,
                Timestamp now, Results& results) {
  const auto store = OpenStoreForReading(options.store_url, options.state_dir);
  const absl::Status read = !store.ok() ? store.status() : (*store)->Read([&](const auto& reader) {
    checks::CheckClock(reader, now, results);
    checks::CheckTasks(reader, now, results);
    return absl::OkStatus();
  });
  if (read.ok()) return CheckReferences(options, **store, opened, now, results);
  AddError(results, "store", read);
  AddUnchecked(results, {"clock", "tasks", "blobs", "orphans"}, Finding::kProblem,
               "the store cannot be read");
}

}  // namespace

std::string_view FindingName(Finding finding) {
  static constexpr std::string_view kNames[] = {"fine", "warning", "problem"};
  return kNames[static_cast<size_t>(finding)];
}

std::vector<CheckResult> Examine(const DoctorOptions& options, Timestamp now) {
  Results results;
  checks::CheckRestore(options, results);
  checks::CheckKeys(options, results);
  checks::CheckCertificate(options, now, results);
  checks::CheckDisks(options, results);
  const auto opened = OpenTheBlobs(options);
  CheckStaging(options, opened, now, results);
  const Finding readable = checks::CheckDatabase(options, results);
  if (readable == Finding::kFine) {
    CheckStore(options, opened, now, results);
  } else {
    AddUnchecked(results, {"clock", "tasks", "blobs", "orphans"}, readable,
                 "the store must be in order before it can be read");
  }
  return results;
}

}  // namespace muster
