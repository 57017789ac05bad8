// Outside bytes at the identity door: certificate requests, certificates, tokens, SPIFFE IDs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "coordinator/identity/ca_state.h"
#include "coordinator/identity/join_token.h"
#include "coordinator/identity/spiffe.h"
#include "proto/x509/certificate.h"
#include "proto/x509/spiffe.h"
#include "proto/x509/trust_bundle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)muster::VerifyCertificateRequest(bytes);
  (void)muster::PrincipalFromCertificatePem(bytes, "muster.local");
  (void)muster::ParseJoinToken(bytes);
  (void)muster::ParseCertificatePin(bytes);
  if (auto certificate = muster::Certificate::FromDer(bytes); certificate.ok()) {
    (void)certificate->UriNames();
    (void)certificate->SerialHex();
    (void)certificate->not_after();
    (void)certificate->PublicKey();
    (void)certificate->IsSelfSigned();
  }
  if (auto trust = muster::TrustBundle::FromPem(bytes); trust.ok()) {
    if (muster::TrustBundle::FromPem(trust->ToPem())->ToPem() != trust->ToPem()) std::abort();
  }
  if (auto state = muster::ParseCaState(bytes); state.ok()) {
    if (!(*muster::ParseCaState(muster::PrintCaState(*state)) == *state)) std::abort();
  }
  if (auto id = muster::SpiffeId::Parse(bytes); id.ok() && id->ToUri() != bytes) std::abort();
  return 0;
}
