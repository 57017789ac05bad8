// From a verified client certificate to the caller it stands for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "proto/x509/certificate.h"

namespace muster {

enum class Role { kDevice, kResearcher, kOperator };

std::string_view RoleName(Role role);  // "device", "researcher", "operator": also the SPIFFE kind
absl::StatusOr<Role> ParseRole(std::string_view name);

struct Principal {
  Role role = Role::kDevice;
  std::string id;
  std::string serial;  // the certificate's, lower-case hex: what revocation and logs name

  friend bool operator==(const Principal&, const Principal&) = default;
};

// "operator/ada"; "anonymous" without a certificate. Logs name callers so.
std::string NameOf(const std::optional<Principal>& caller);

// `leaf_pem` has passed TLS verification already; this reads who it is. Unauthenticated unless it
// is a leaf with exactly one URI name, a SPIFFE ID of `trust_domain` whose kind is a role.
absl::StatusOr<Principal> PrincipalFromCertificatePem(std::string_view leaf_pem,
                                                      std::string_view trust_domain);

absl::StatusOr<Principal> PrincipalFromCertificate(const Certificate& leaf,
                                                   std::string_view trust_domain);

std::string PrincipalUri(Role role, std::string_view id, std::string_view trust_domain);

}  // namespace muster
