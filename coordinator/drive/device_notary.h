// Checks what devices sign in secure aggregation: their enrolment certificates under our authority.
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
  static absl::StatusOr<DeviceNotary> Create(std::string_view ca_pem, std::string trust_domain,
                                             Clock& clock);
  absl::Status Verify(const DeviceId& client, std::string_view certificate,
                      std::string_view statement, std::string_view signature) const override;

 private:
  // Those of a large round's clients, so that each is read once in all phases together.
  static constexpr size_t kRememberedCertificates = 2048;

  DeviceNotary(Certificate ca, std::string trust_domain, Clock& clock)
      : devices_(std::make_unique<DeviceCertificates>(std::move(ca), std::move(trust_domain),
                                                      kRememberedCertificates)),
        clock_(clock) {}
  std::unique_ptr<const DeviceCertificates> devices_;
  Clock& clock_;
};

}  // namespace muster
