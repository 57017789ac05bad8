// What a device keeps of the CAs that it trusts: a file that a power cut, a person or a disk
// damaged.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "client/identity/identity_files.h"
#include "proto/x509/trust_bundle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto trust = muster::ParseTrust(text);
  if (!trust.ok()) return 0;
  if (trust->generation == 0) abort();
  if (!(*muster::ParseTrust(muster::PrintTrust(*trust)) == *trust)) abort();
  (void)muster::TrustBundle::FromPem(trust->ca_pem);
  return 0;
}
