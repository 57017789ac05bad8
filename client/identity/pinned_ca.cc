#include "client/identity/pinned_ca.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/core/status.h"

namespace muster {
namespace {

absl::Status WrongPin(const std::vector<Certificate>& chain, std::string_view pin) {
  std::vector<std::string> got;
  for (const Certificate& certificate : chain) {
    if (certificate.IsSelfSigned()) got.push_back(CertificatePin(certificate));
  }
  return absl::UnauthenticatedError(absl::StrCat(
      "the coordinator's CA is not the pinned one: expected ", std::string(pin), ", got ",
      got.empty() ? "a chain without a self-signed CA" : absl::StrJoin(got, " and "),
      "; this is another coordinator, or someone between. Compare with the pin that "
      "`muster-coordinator init` printed. Nothing was sent, the token is unspent."));
}

}  // namespace

absl::StatusOr<Certificate> FindPinnedCa(const std::vector<Certificate>& chain,
                                         std::string_view pin, Timestamp now) {
  MUSTER_ASSIGN_OR_RETURN(Digest expected, ParseCertificatePin(pin));
  for (const Certificate& certificate : chain) {
    if (certificate.Fingerprint() != expected || !certificate.IsSelfSigned()) continue;
    absl::Status status =
        chain.front().VerifyIssuedBy(certificate, CertificateUse::kServer, now, kCoordinatorName);
    if (status.ok()) return certificate;
    return Annotate(status,
                    "the coordinator's certificate does not stand under the pinned CA; "
                    "restart the coordinator to renew it, or correct this device's clock");
  }
  return WrongPin(chain, pin);
}

}  // namespace muster
