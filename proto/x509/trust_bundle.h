// The certificate authorities that somebody trusts: one, or several while one takes over from
// another.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/x509/certificate.h"

namespace muster {

inline constexpr size_t kMaxAuthorities = 4;

// Immutable, thread-safe; copies share their certificates.
class TrustBundle {
 public:
  TrustBundle(Certificate authority) : authorities_{std::move(authority)} {}  // the only one
  // InvalidArgument unless `pem` is 1 to kMaxAuthorities self-signed CA certificates, none of them
  // twice.
  static absl::StatusOr<TrustBundle> FromPem(std::string_view pem);

  const std::vector<Certificate>& authorities() const { return authorities_; }
  std::string ToPem() const;
  bool Contains(const Certificate& authority) const;
  // The authority that issued `leaf`, by name and key id alone; nullptr if none of them did.
  const Certificate* IssuerOf(const Certificate& leaf) const;

  // As Certificate::VerifyIssuedBy, with the authority that issued it.
  absl::Status Verify(const Certificate& leaf, CertificateUse use, Timestamp now,
                      std::string_view name = {}) const;

 private:
  explicit TrustBundle(std::vector<Certificate> authorities)
      : authorities_(std::move(authorities)) {}
  std::vector<Certificate> authorities_;
};

}  // namespace muster
