// "host:port" and "[IPv6]:port" as users type them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

inline constexpr size_t kMaxHostBytes = 253;  // RFC 1035
inline constexpr size_t kMaxAddresses = 16;   // of one coordinator

struct HostPort {
  std::string host;  // without brackets
  uint16_t port = 0;

  std::string ToString() const;                                  // brackets around IPv6
  static absl::StatusOr<HostPort> Parse(std::string_view text);  // to call
  // "A:1,B:2": the replicas of one coordinator. One address, or up to kMaxAddresses that are all
  // IPv4 or all IPv6, because a name that stands for many is what DNS is for.
  static absl::StatusOr<std::vector<HostPort>> ParseList(std::string_view text);
  static absl::StatusOr<HostPort> ParseListen(std::string_view text);  // port 0: any free one
};

}  // namespace muster
