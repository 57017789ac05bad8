// Who signs and who checks: the host's identity and its trust, as the protocol needs them.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/ids.h"

namespace muster::secagg {

class Notary {
 public:
  virtual ~Notary() = default;
  // OK if `certificate` (DER) stands for device `client` under the trusted authority, now, and
  // `signature` is its key's over `statement`; Unauthenticated with the reason otherwise.
  virtual absl::Status Verify(const DeviceId& client, std::string_view certificate,
                              std::string_view statement, std::string_view signature) const = 0;
};

class Signer {
 public:
  virtual ~Signer() = default;
  virtual const DeviceId& id() const = 0;
  virtual const std::string& certificate() const = 0;  // DER
  virtual absl::StatusOr<std::string> Sign(std::string_view statement) const = 0;
};

}  // namespace muster::secagg
