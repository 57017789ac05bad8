#include "coordinator/drive/device_notary.h"

#include <utility>

#include "coordinator/identity/spiffe.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

absl::StatusOr<DeviceNotary> DeviceNotary::Create(std::string_view ca_pem, std::string trust_domain,
                                                  Clock& clock) {
  MUSTER_ASSIGN_OR_RETURN(Certificate ca, Certificate::FromPem(ca_pem));
  return DeviceNotary(std::move(ca), std::move(trust_domain), clock);
}

absl::Status DeviceNotary::Verify(const DeviceId& client, std::string_view certificate,
                                  std::string_view statement, std::string_view signature) const {
  const auto leaf = Certificate::FromDer(certificate);
  if (!leaf.ok()) return absl::UnauthenticatedError(leaf.status().message());
  MUSTER_RETURN_IF_ERROR(leaf->VerifyIssuedBy(ca_, CertificateUse::kClient, clock_.Now()));
  MUSTER_ASSIGN_OR_RETURN(const Principal who,
                          PrincipalFromCertificatePem(leaf->ToPem(), trust_domain_));
  if (who.role != Role::kDevice || who.id != client.value()) {
    return absl::UnauthenticatedError(StrCat("the certificate is ", RoleName(who.role), " ", who.id,
                                             "'s, not device ", client.value(), "'s"));
  }
  MUSTER_ASSIGN_OR_RETURN(const EcPublicKey key, leaf->PublicKey());
  return key.Verify(statement, signature);
}

}  // namespace muster
