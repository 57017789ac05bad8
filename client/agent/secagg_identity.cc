#include "client/agent/secagg_identity.h"

#include <utility>
#include <vector>

#include "client/agent/text.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/x509/spiffe.h"

namespace muster {
namespace {

using text::Cat;

constexpr char kDeviceKind[] = "device";

absl::StatusOr<SpiffeId> DeviceNameOf(const Certificate& certificate) {
  const std::vector<std::string> uris = certificate.UriNames();
  if (uris.size() != 1) {
    return absl::UnauthenticatedError("the certificate must carry one URI name");
  }
  MUSTER_ASSIGN_OR_RETURN(SpiffeId name, SpiffeId::Parse(uris.front()));
  if (name.kind != kDeviceKind || name.tenant != kDefaultTenant) {
    return absl::UnauthenticatedError(Cat("the certificate is not a device's: ", uris.front()));
  }
  return name;
}

absl::Status Unauthenticated(const DeviceId& client, const absl::Status& why) {
  return absl::UnauthenticatedError(
      Cat("client '", client.value(), "': ", text::View(why.message())));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SecAggIdentity>> SecAggIdentity::From(
    const DeviceIdentity& identity, Clock& clock) {
  MUSTER_ASSIGN_OR_RETURN(EcPrivateKey key, EcPrivateKey::FromPem(identity.key_pem));
  MUSTER_ASSIGN_OR_RETURN(const Certificate leaf, Certificate::FromPem(identity.certificate_pem));
  MUSTER_ASSIGN_OR_RETURN(Certificate ca, Certificate::FromPem(identity.ca_pem));
  MUSTER_ASSIGN_OR_RETURN(SpiffeId name, DeviceNameOf(leaf));
  if (name.id != identity.id.value()) {
    return absl::DataLossError(
        Cat("the certificate names ", name.id, ", but this device is ", identity.id.value()));
  }
  return std::shared_ptr<const SecAggIdentity>(
      new SecAggIdentity(identity.id, leaf.ToDer(), std::move(name.trust_domain), std::move(key),
                         std::move(ca), clock));
}

absl::Status SecAggIdentity::Verify(const DeviceId& client, std::string_view certificate,
                                    std::string_view statement, std::string_view signature) const {
  if (certificate.size() > limits::kMaxAdvertCertificateBytes) {
    return Unauthenticated(client, absl::InvalidArgumentError("its certificate is too large"));
  }
  const absl::StatusOr<Certificate> leaf = Certificate::FromDer(certificate);
  if (!leaf.ok()) return Unauthenticated(client, leaf.status());
  absl::Status status = leaf->VerifyIssuedBy(ca_, CertificateUse::kClient, clock_.Now());
  if (!status.ok()) return Unauthenticated(client, status);
  const absl::StatusOr<SpiffeId> name = DeviceNameOf(*leaf);
  if (!name.ok()) return Unauthenticated(client, name.status());
  if (name->id != client.value() || name->trust_domain != trust_domain_) {
    return Unauthenticated(
        client, absl::InvalidArgumentError(Cat("its certificate stands for ", name->ToUri())));
  }
  const absl::StatusOr<EcPublicKey> key = leaf->PublicKey();
  if (!key.ok()) return Unauthenticated(client, key.status());
  status = key->Verify(statement, signature);
  return status.ok() ? status : Unauthenticated(client, status);
}

}  // namespace muster
