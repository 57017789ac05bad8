#include <utility>

#include "absl/strings/str_cat.h"
#include "models/package/package.h"
#include "models/package/statement.h"
#include "proto/core/status.h"

namespace muster {

absl::StatusOr<PackageVerifier> PackageVerifier::FromPublicKeyPem(std::string_view pem) {
  absl::StatusOr<EcPublicKey> key = EcPublicKey::FromPem(pem);
  if (!key.ok()) return Annotate(key.status(), "package verification key");
  std::string hint = Sha256(key->ToPem()).hex();
  return PackageVerifier(*std::move(key), std::move(hint));
}

absl::StatusOr<Package> PackageVerifier::Verify(std::string_view bytes) const {
  MUSTER_ASSIGN_OR_RETURN(Bundle bundle, ParseBundle(bytes));
  if (bundle.key_hint != hint_) {
    return absl::UnauthenticatedError(absl::StrCat(
        "package: signed with another key than the one trusted here (expected hint ", hint_,
        "); it comes from another coordinator, or the signing key was replaced"));
  }
  absl::Status signature = key_.Verify(PreAuthEncoding(bundle.payload), bundle.signature);
  if (!signature.ok()) {
    return absl::UnauthenticatedError(
        "package: its signature does not verify; it was changed after it was signed: fetch it "
        "again, and do not run it");
  }
  // Only now is the statement read: nothing unsigned is interpreted.
  return ParseStatement(bundle.payload);
}

}  // namespace muster
