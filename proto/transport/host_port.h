// "host:port" and "[IPv6]:port" as users type them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

inline constexpr size_t kMaxHostBytes = 253;  // RFC 1035

struct HostPort {
  std::string host;  // without brackets
  uint16_t port = 0;

  std::string ToString() const;                                        // brackets around IPv6
  static absl::StatusOr<HostPort> Parse(std::string_view text);        // to call
  static absl::StatusOr<HostPort> ParseListen(std::string_view text);  // port 0: any free one
};

}  // namespace muster
