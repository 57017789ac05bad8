#include "client/agent/packages.h"

#include <utility>

#include "client/agent/text.h"
#include "models/package/manifest.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using text::Cat;

absl::StatusOr<const Resource*> Need(const Package& package, std::string_view name) {
  const Resource* resource = package.Find(name);
  if (resource == nullptr) {
    return absl::InvalidArgumentError(
        Cat("package ", package.name, " has no ", name, ": it is not a function package"));
  }
  return resource;
}

}  // namespace

absl::StatusOr<LoadedPackage> PackageLoader::Load(const Digest& digest, BlobSource& source,
                                                  const Bounds& bounds) {
  LoadedPackage loaded;
  MUSTER_ASSIGN_OR_RETURN(loaded.envelope, cache_.Get(digest, 0, source, bounds));
  MUSTER_ASSIGN_OR_RETURN(const std::string bytes,
                          ReadFile(loaded.envelope.path(), kMaxPackageBytes));
  auto package = verifier_.Verify(bytes);
  if (!package.ok()) {
    return absl::FailedPreconditionError(
        Cat("package ", digest.hex(), " is refused: ", text::View(package.status().message())));
  }
  MUSTER_ASSIGN_OR_RETURN(const Resource* manifest, Need(*package, kManifestResource));
  MUSTER_ASSIGN_OR_RETURN(const Resource* weights, Need(*package, kWeightsResource));
  MUSTER_ASSIGN_OR_RETURN(loaded.manifest_file,
                          cache_.Get(manifest->digest, manifest->size, source, bounds));
  MUSTER_ASSIGN_OR_RETURN(const std::string json,
                          ReadFile(loaded.manifest_file.path(), limits::kMaxManifestBytes));
  MUSTER_ASSIGN_OR_RETURN(loaded.manifest, ManifestFromJson(json));

  MUSTER_ASSIGN_OR_RETURN(const uint64_t floor, journal_.Floor(loaded.manifest.name));
  if (loaded.manifest.security_version < floor) {
    return absl::FailedPreconditionError(
        Cat("package ", package->name, " is refused: its security_version is ",
            loaded.manifest.security_version, " and this device has had ", floor,
            " already; promote a version that is not older"));
  }
  MUSTER_ASSIGN_OR_RETURN(loaded.weights,
                          cache_.Get(weights->digest, weights->size, source, bounds));
  const uint64_t expected = loaded.manifest.layout.total_size() * sizeof(float);
  if (loaded.weights.size() != expected) {
    return absl::InvalidArgumentError(Cat("package ", package->name, ": weights.f32 has ",
                                          loaded.weights.size(), " bytes where the layout needs ",
                                          expected));
  }
  if (const Resource* module = package->Find(kModuleResource)) {
    MUSTER_ASSIGN_OR_RETURN(loaded.module,
                            cache_.Get(module->digest, module->size, source, bounds));
  }
  return loaded;
}

}  // namespace muster
