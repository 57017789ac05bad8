#include "client/identity/trust_check.h"

#include "absl/strings/str_cat.h"
#include "client/identity/tls_fetch.h"
#include "proto/x509/trust_bundle.h"

namespace muster {
namespace {

constexpr char kEnrolAgain[] =
    "enrol it again: remove its identity folder, and run `muster-client enroll` with a new join "
    "token and the pin that `muster-coordinator pin` prints";

std::string Explain(const HostPort& server, const std::vector<Certificate>& chain,
                    const TrustBundle& trust, const Certificate& own, Timestamp now) {
  const Certificate& leaf = chain.front();
  const Certificate* issuer = trust.IssuerOf(leaf);
  if (issuer == nullptr) {
    return absl::StrCat("what answers at ", server.ToString(), " shows a certificate of ",
                        chain.size() > 1 ? CertificatePin(chain.back()) : "a CA",
                        " that this device does not trust. If the fleet's CA was replaced while "
                        "the device was away, ",
                        kEnrolAgain, "; if not, it is not this fleet's coordinator");
  }
  if (!trust.Verify(leaf, CertificateUse::kServer, now, kCoordinatorName).ok()) return "";
  if (trust.IssuerOf(own) == issuer) return "";
  return absl::StrCat("this device's certificate is of the CA ",
                      CertificatePin(*trust.IssuerOf(own)), ", and the coordinator's is of ",
                      CertificatePin(*issuer), ". If the former was retired, ", kEnrolAgain);
}

}  // namespace

std::string ExplainTrust(const std::string& coordinator, const DeviceIdentity& identity,
                         Timestamp now, std::chrono::milliseconds timeout) {
  const auto servers = HostPort::ParseList(coordinator);
  const auto trust = TrustBundle::FromPem(identity.ca_pem);
  const auto own = Certificate::FromPem(identity.certificate_pem);
  if (!servers.ok() || !trust.ok() || !own.ok() || trust->IssuerOf(*own) == nullptr) return "";
  for (const HostPort& server : *servers) {
    const auto chain = FetchServerChain(server, timeout);
    if (chain.ok() && !chain->empty()) return Explain(server, *chain, *trust, *own, now);
  }
  return "";
}

}  // namespace muster
