// Identities for tests that are not about certificates: a device's "signature" is a MAC under a key
// that only tests know, so that it is the same every time and a changed statement still fails.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "aggregation/secagg/notary.h"
#include "proto/core/digest.h"
#include "proto/core/strings.h"

namespace muster {

inline std::string TestSignature(const DeviceId& client, std::string_view statement) {
  return std::string(Sha256(StrCat("test key of ", client.value(), "/", statement)).bytes());
}

class TestNotary final : public secagg::Notary {
 public:
  absl::Status Verify(const DeviceId& client, std::string_view certificate,
                      std::string_view statement, std::string_view signature) const override {
    if (certificate != "certificate of " + client.value()) {
      return absl::UnauthenticatedError("the certificate is another device's");
    }
    if (signature == TestSignature(client, statement)) return absl::OkStatus();
    return absl::UnauthenticatedError("the signature does not verify");
  }
};

class TestSigner final : public secagg::Signer {
 public:
  explicit TestSigner(DeviceId id)
      : id_(std::move(id)), certificate_("certificate of " + id_.value()) {}
  const DeviceId& id() const override { return id_; }
  const std::string& certificate() const override { return certificate_; }
  absl::StatusOr<std::string> Sign(std::string_view statement) const override {
    return TestSignature(id_, statement);
  }

 private:
  const DeviceId id_;
  const std::string certificate_;
};

}  // namespace muster
