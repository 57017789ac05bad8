// Devices and join tokens.
#pragma once

#include <string>

#include "coordinator/drive/context.h"
#include "coordinator/identity/authority.h"
#include "coordinator/identity/join_token.h"
#include "proto/core/enrol_messages.h"

namespace muster {

// `by` is who asks, such as "operator/ada": the audit log keeps it.
struct MintedToken {
  std::string text;  // told once, never stored
  TokenRecord record;
};
absl::StatusOr<MintedToken> CreateToken(DriveContext& context, uint32_t uses, Duration ttl,
                                        const Labels& labels, const std::string& by);
absl::StatusOr<TokenRecord> RevokeToken(DriveContext& context, const TokenId& id,
                                        const std::string& by);

struct Enrolled {
  DeviceRecord device;
  IssuedCertificate certificate;
};
// Uses up one use of the token, in the transaction that makes the device. A refused enrolment uses
// nothing up.
absl::StatusOr<Enrolled> Enrol(DriveContext& context, const CertificateAuthority& authority,
                               Duration lifetime, const Enrolment& request);
absl::StatusOr<IssuedCertificate> RenewDevice(DriveContext& context,
                                              const CertificateAuthority& authority,
                                              Duration lifetime, const DeviceId& id,
                                              const std::string& csr_der);
absl::StatusOr<DeviceRecord> RevokeDevice(DriveContext& context, const DeviceId& id,
                                          const std::string& reason, const std::string& by);

// What the device made of its desired state; counts its metering once for each report id.
absl::Status RecordState(DriveContext& context, const DeviceId& id, const StateReport& report);

// PermissionDenied if the device is revoked, Unauthenticated if it is unknown.
absl::StatusOr<DeviceRecord> FindInGoodStanding(const StoreReader& reader, const DeviceId& id);
absl::Status CheckStanding(const DriveContext& context, const DeviceId& id);

}  // namespace muster
