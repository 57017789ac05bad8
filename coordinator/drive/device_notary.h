// Checks what devices sign in secure aggregation: their enrolment certificates under our
// authorities.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "aggregation/secagg/notary.h"
#include "proto/core/time.h"
#include "proto/x509/device_certificates.h"

namespace muster {

// Thread-safe.
class DeviceNotary final : public secagg::Notary {
 public:
  // `trust_pem`: the CAs whose devices' signatures count.
  static absl::StatusOr<DeviceNotary> Create(std::string_view trust_pem, std::string trust_domain,
                                             Clock& clock);
  absl::Status Verify(const DeviceId& client, std::string_view certificate,
                      std::string_view statement, std::string_view signature) const override;

 private:
  // Those of a large round's clients, so that each is read once in all phases together.
  static constexpr size_t kRememberedCertificates = 2048;

  DeviceNotary(TrustBundle trust, std::string trust_domain, Clock& clock)
      : devices_(std::make_unique<DeviceCertificates>(std::move(trust), std::move(trust_domain),
                                                      kRememberedCertificates)),
        clock_(clock) {}
  std::unique_ptr<const DeviceCertificates> devices_;
  Clock& clock_;
};

}  // namespace muster
