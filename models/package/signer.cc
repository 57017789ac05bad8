#include <algorithm>
#include <utility>

#include "models/package/package.h"
#include "models/package/statement.h"
#include "proto/core/status.h"

namespace muster {

absl::Status PackageSigner::Create(const std::filesystem::path& key_file) {
  MUSTER_ASSIGN_OR_RETURN(EcPrivateKey key, EcPrivateKey::Generate());
  return WriteNewKeyFile(key_file, key);
}

absl::StatusOr<PackageSigner> PackageSigner::Open(const std::filesystem::path& key_file) {
  absl::StatusOr<EcPrivateKey> key = EcPrivateKey::FromFile(key_file);
  if (!key.ok()) return Annotate(key.status(), "opening the package signing key");
  return PackageSigner(*std::move(key));
}

std::string PackageSigner::public_key_pem() const { return key_.PublicKey().ToPem(); }

absl::StatusOr<std::string> PackageSigner::Sign(const Package& package) const {
  MUSTER_RETURN_IF_ERROR(ValidatePackage(package));
  Package sorted = package;
  std::sort(sorted.resources.begin(), sorted.resources.end(),
            [](const Resource& a, const Resource& b) { return ResourcePathLess(a.name, b.name); });
  Bundle bundle;
  bundle.key_hint = Sha256(public_key_pem()).hex();
  bundle.payload = PrintStatement(sorted);
  MUSTER_ASSIGN_OR_RETURN(bundle.signature, key_.Sign(PreAuthEncoding(bundle.payload)));
  return PrintBundle(bundle);
}

}  // namespace muster
