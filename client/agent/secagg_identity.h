// The device's identity and its trust, as secure aggregation needs them: it signs with the
// enrolment key, and accepts another client's signature if a trusted CA issued a device's
// certificate for it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "aggregation/secagg/notary.h"
#include "client/identity/device_identity.h"
#include "proto/core/time.h"
#include "proto/x509/device_certificates.h"
#include "proto/x509/ec_key.h"
#include "proto/x509/trust_bundle.h"

namespace muster {

// Thread-safe. Stands for one certificate: after a renewal there is a new one.
class SecAggIdentity final : public secagg::Signer, public secagg::Notary {
 public:
  static absl::StatusOr<std::shared_ptr<const SecAggIdentity>> From(const DeviceIdentity& identity,
                                                                    Clock& clock);

  const DeviceId& id() const override { return id_; }
  const std::string& certificate() const override { return certificate_; }
  absl::StatusOr<std::string> Sign(std::string_view statement) const override {
    return key_.Sign(statement);
  }
  absl::Status Verify(const DeviceId& client, std::string_view certificate,
                      std::string_view statement, std::string_view signature) const override;

 private:
  // Those of the neighbours in a round or two.
  static constexpr size_t kRememberedCertificates = 256;

  SecAggIdentity(DeviceId id, std::string certificate, std::string trust_domain, EcPrivateKey key,
                 TrustBundle trust, Clock& clock)
      : id_(std::move(id)),
        certificate_(std::move(certificate)),
        key_(std::move(key)),
        devices_(std::move(trust), std::move(trust_domain), kRememberedCertificates),
        clock_(clock) {}

  const DeviceId id_;
  const std::string certificate_;  // DER
  const EcPrivateKey key_;
  const DeviceCertificates devices_;
  Clock& clock_;
};

}  // namespace muster
