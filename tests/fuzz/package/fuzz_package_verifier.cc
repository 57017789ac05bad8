// Outside bytes as a package: the whole verifier, and, because no fuzzer can sign, the statement's
// parser behind the signature on its own. What parses must print and parse to the same again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "models/package/package.h"
#include "models/package/statement.h"
#include "tests/unit/package/golden.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const muster::PackageVerifier verifier =
      *muster::PackageVerifier::FromPublicKeyPem(muster::kGoldenPublicKey);
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)verifier.Verify(bytes);
  if (auto bundle = muster::ParseBundle(bytes); bundle.ok()) {
    (void)muster::ParseStatement(bundle->payload);
    if (muster::ParseBundle(muster::PrintBundle(*bundle))->payload != bundle->payload) std::abort();
  }
  if (auto package = muster::ParseStatement(bytes); package.ok()) {
    auto again = muster::ParseStatement(muster::PrintStatement(*package));
    if (!again.ok() || !(*again == *package)) std::abort();
  }
  return 0;
}
