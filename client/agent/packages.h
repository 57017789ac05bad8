// From a package's digest to its verified parts on disk: fetch, check the signature, check the
// anti-rollback floor, fetch what it names.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "client/agent/blob_cache.h"
#include "client/agent/bounds.h"
#include "client/agent/journal.h"
#include "models/package/package.h"
#include "proto/core/manifest.h"

namespace muster {

// Its files stay in the cache while this lives.
struct LoadedPackage {
  Manifest manifest;
  CachedBlob envelope, manifest_file, weights;
  std::optional<CachedBlob> module;
};

class PackageLoader {
 public:
  PackageLoader(PackageVerifier verifier, BlobCache& cache, Journal& journal)
      : verifier_(std::move(verifier)), cache_(cache), journal_(journal) {}

  // FailedPrecondition: the signature is not the fleet's, or the version is below the floor.
  // InvalidArgument: what the package holds does not fit together. Else as BlobCache::Get.
  absl::StatusOr<LoadedPackage> Load(const Digest& package, BlobSource& source,
                                     const Bounds& bounds);

 private:
  PackageVerifier verifier_;
  BlobCache& cache_;
  Journal& journal_;
};

}  // namespace muster
