// Who may call what: one row for each RPC. A method without a row is refused to everyone, and a
// test walks every method of every service with every role.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "coordinator/identity/spiffe.h"

namespace muster {

struct AccessRule {
  std::string_view method;  // "muster.v1.DeviceService/CheckIn"
  bool anonymous = false;   // no client certificate needed
  bool device = false;
  bool researcher = false;
  bool operator_ = false;
};

std::span<const AccessRule> AccessRules();

// OK, Unauthenticated (a certificate is needed) or PermissionDenied (another role is needed).
absl::Status CheckAccess(std::string_view method, const std::optional<Principal>& caller);

}  // namespace muster
