// Which blobs the store refers to.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/blobs/blob_store.h"
#include "coordinator/store/state_store.h"
#include "models/package/package.h"

namespace muster {

// Finds references in one snapshot of the store. What a package names is a reference too, so the
// packages that no model row spells out are opened; what was found is kept for the next snapshot.
class ReferenceFinder {
 public:
  ReferenceFinder(const BlobStore& blobs, const PackageVerifier& verifier)
      : blobs_(blobs), verifier_(verifier) {}

  // An error if a package cannot be opened: what it names is not known then, and nothing may be
  // removed. DataLoss if it is missing or its signature does not verify.
  // As if the model versions `gone` were not there, and `stateless` had no optimizer state.
  absl::StatusOr<std::set<Digest>> Find(const StoreReader& reader,
                                        const std::set<ModelVersion>& gone = {},
                                        const std::set<ModelVersion>& stateless = {});

 private:
  absl::StatusOr<std::vector<Digest>> NamedBy(const Digest& package);

  const BlobStore& blobs_;
  const PackageVerifier& verifier_;
  std::map<Digest, std::vector<Digest>> named_;
};

// Every job, and every model version, page by page.
absl::Status ForEachJob(const StoreReader& reader,
                        const std::function<absl::Status(const JobRecord&)>& visit);
absl::Status ForEachModel(const StoreReader& reader,
                          const std::function<absl::Status(const ModelRecord&)>& visit);

}  // namespace muster
