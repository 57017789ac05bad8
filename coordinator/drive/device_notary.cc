#include "coordinator/drive/device_notary.h"

#include <utility>

#include "proto/core/status.h"

namespace muster {

absl::StatusOr<DeviceNotary> DeviceNotary::Create(std::string_view trust_pem,
                                                  std::string trust_domain, Clock& clock) {
  MUSTER_ASSIGN_OR_RETURN(TrustBundle trust, TrustBundle::FromPem(trust_pem));
  return DeviceNotary(std::move(trust), std::move(trust_domain), clock);
}

absl::Status DeviceNotary::Verify(const DeviceId& client, std::string_view certificate,
                                  std::string_view statement, std::string_view signature) const {
  MUSTER_ASSIGN_OR_RETURN(const EcPublicKey key,
                          devices_->KeyOf(client, certificate, clock_.Now()));
  return key.Verify(statement, signature);
}

}  // namespace muster
