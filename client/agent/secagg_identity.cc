#include "client/agent/secagg_identity.h"

#include <utility>

#include "client/agent/text.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using text::Cat;

absl::Status Unauthenticated(const DeviceId& client, const absl::Status& why) {
  return absl::UnauthenticatedError(
      Cat("client '", client.value(), "': ", text::View(why.message())));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SecAggIdentity>> SecAggIdentity::From(
    const DeviceIdentity& identity, Clock& clock) {
  MUSTER_ASSIGN_OR_RETURN(EcPrivateKey key, EcPrivateKey::FromPem(identity.key_pem));
  MUSTER_ASSIGN_OR_RETURN(const Certificate leaf, Certificate::FromPem(identity.certificate_pem));
  MUSTER_ASSIGN_OR_RETURN(TrustBundle trust, TrustBundle::FromPem(identity.ca_pem));
  MUSTER_ASSIGN_OR_RETURN(SpiffeId name, DeviceNameOf(leaf));
  if (name.id != identity.id.value()) {
    return absl::DataLossError(
        Cat("the certificate names ", name.id, ", but this device is ", identity.id.value()));
  }
  return std::shared_ptr<const SecAggIdentity>(
      new SecAggIdentity(identity.id, leaf.ToDer(), std::move(name.trust_domain), std::move(key),
                         std::move(trust), clock));
}

absl::Status SecAggIdentity::Verify(const DeviceId& client, std::string_view certificate,
                                    std::string_view statement, std::string_view signature) const {
  if (certificate.size() > limits::kMaxAdvertCertificateBytes) {
    return Unauthenticated(client, absl::InvalidArgumentError("its certificate is too large"));
  }
  MUSTER_ASSIGN_OR_RETURN(const EcPublicKey key, devices_.KeyOf(client, certificate, clock_.Now()));
  const absl::Status status = key.Verify(statement, signature);
  return status.ok() ? status : Unauthenticated(client, status);
}

}  // namespace muster
