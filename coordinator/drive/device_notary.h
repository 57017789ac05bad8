// Checks what devices sign in secure aggregation: their enrolment certificates under our authority.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "aggregation/secagg/notary.h"
#include "proto/core/time.h"
#include "proto/x509/certificate.h"

namespace muster {

// Thread-safe.
class DeviceNotary final : public secagg::Notary {
 public:
  static absl::StatusOr<DeviceNotary> Create(std::string_view ca_pem, std::string trust_domain,
                                             Clock& clock);
  absl::Status Verify(const DeviceId& client, std::string_view certificate,
                      std::string_view statement, std::string_view signature) const override;

 private:
  DeviceNotary(Certificate ca, std::string trust_domain, Clock& clock)
      : ca_(std::move(ca)), trust_domain_(std::move(trust_domain)), clock_(clock) {}
  const Certificate ca_;
  const std::string trust_domain_;
  Clock& clock_;
};

}  // namespace muster
