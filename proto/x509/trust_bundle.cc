#include "proto/x509/trust_bundle.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/core/status.h"

namespace muster {

absl::StatusOr<TrustBundle> TrustBundle::FromPem(std::string_view pem) {
  MUSTER_ASSIGN_OR_RETURN(std::vector<Certificate> found, Certificate::ChainFromPem(pem));
  if (found.size() > kMaxAuthorities) {
    return absl::InvalidArgumentError(absl::StrCat("trusted authorities: ", found.size(),
                                                   ", at most ", kMaxAuthorities, " allowed"));
  }
  std::vector<Certificate> authorities;
  for (Certificate& certificate : found) {
    if (!certificate.IsCa() || !certificate.IsSelfSigned()) {
      return absl::InvalidArgumentError(
          "trusted authorities: one of the certificates is no self-signed CA");
    }
    const auto same = [&](const Certificate& other) {
      return other.Fingerprint() == certificate.Fingerprint();
    };
    if (std::any_of(authorities.begin(), authorities.end(), same)) {
      return absl::InvalidArgumentError("trusted authorities: the same certificate comes twice");
    }
    authorities.push_back(std::move(certificate));
  }
  return TrustBundle(std::move(authorities));
}

std::string TrustBundle::ToPem() const {
  std::string pem;
  for (const Certificate& authority : authorities_) pem += authority.ToPem();
  return pem;
}

bool TrustBundle::Contains(const Certificate& authority) const {
  return std::any_of(authorities_.begin(), authorities_.end(), [&](const Certificate& ours) {
    return ours.Fingerprint() == authority.Fingerprint();
  });
}

const Certificate* TrustBundle::IssuerOf(const Certificate& leaf) const {
  const auto issued = [&leaf](const Certificate& authority) {
    return X509_check_issued(authority.get(), leaf.get()) == X509_V_OK;
  };
  const auto found = std::find_if(authorities_.begin(), authorities_.end(), issued);
  ERR_clear_error();
  return found == authorities_.end() ? nullptr : &*found;
}

absl::Status TrustBundle::Verify(const Certificate& leaf, CertificateUse use, Timestamp now,
                                 std::string_view name) const {
  const Certificate* issuer = IssuerOf(leaf);
  // With none, the first one's refusal says why.
  return leaf.VerifyIssuedBy(issuer != nullptr ? *issuer : authorities_.front(), use, now, name);
}

}  // namespace muster
