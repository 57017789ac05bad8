// SPIFFE IDs (SPIFFE-ID standard) as Muster writes them:
//   spiffe://<trust domain>/tenant/default/<kind>/<id>     kind: device, researcher, operator, ...
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

inline constexpr char kDefaultTrustDomain[] = "muster.local";
inline constexpr char kDefaultTenant[] = "default";
inline constexpr size_t kMaxSpiffeIdBytes = 2048;  // the standard's own bound

struct SpiffeId {
  std::string trust_domain, tenant, kind, id;

  std::string ToUri() const;
  // InvalidArgument for anything but the four-segment path above with valid ids.
  static absl::StatusOr<SpiffeId> Parse(std::string_view uri);
  friend bool operator==(const SpiffeId&, const SpiffeId&) = default;
};

// Lower-case letters, digits, dots, dashes and underscores; 1 to 255 bytes.
absl::Status ValidateTrustDomain(std::string_view trust_domain);

}  // namespace muster
