#include "proto/transport/host_port.h"

#include <arpa/inet.h>

#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/core/status.h"

namespace muster {
namespace {

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || c == ':' || c == '%';
}

enum class HostKind { kName, kIpv4, kIpv6 };

HostKind KindOf(const std::string& host) {
  in6_addr binary;
  if (inet_pton(AF_INET, host.c_str(), &binary) == 1) return HostKind::kIpv4;
  if (inet_pton(AF_INET6, host.c_str(), &binary) == 1) return HostKind::kIpv6;
  return HostKind::kName;
}

}  // namespace

std::string HostPort::ToString() const {
  if (host.find(':') != std::string::npos) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

absl::StatusOr<HostPort> HostPort::Parse(std::string_view text) {
  absl::StatusOr<HostPort> parsed = ParseListen(text);
  if (!parsed.ok() || parsed->port != 0) return parsed;
  return absl::InvalidArgumentError("coordinator address: nobody can be reached at port 0");
}

absl::StatusOr<std::vector<HostPort>> HostPort::ParseList(std::string_view text) {
  std::vector<HostPort> addresses;
  for (const auto& part : absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
    if (addresses.size() == kMaxAddresses) {
      return absl::InvalidArgumentError(
          absl::StrCat("coordinator address: more than ", kMaxAddresses,
                       " of them; give one DNS name that resolves to all"));
    }
    MUSTER_ASSIGN_OR_RETURN(HostPort address, Parse({part.data(), part.size()}));
    addresses.push_back(std::move(address));
  }
  if (addresses.size() == 1) return addresses;
  for (const HostPort& address : addresses) {
    const HostKind kind = KindOf(address.host);
    if (kind != HostKind::kName && kind == KindOf(addresses.front().host)) continue;
    return absl::InvalidArgumentError(absl::StrCat("coordinator address: ", address.host,
                                                   ": several addresses must be all IPv4 or all "
                                                   "IPv6; for names, give one that DNS resolves to "
                                                   "all replicas"));
  }
  return addresses;
}

absl::StatusOr<HostPort> HostPort::ParseListen(std::string_view text) {
  const absl::Status error = absl::InvalidArgumentError(
      "address: expected HOST:PORT, like coordinator.example:7443 or [::1]:7443");
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return error;
  std::string_view host = text.substr(0, colon);
  std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.size() > kMaxHostBytes) return error;
  if (!bracketed && host.find(':') != std::string_view::npos) return error;
  for (char c : host) {
    if (!IsHostCharacter(c)) return error;
  }
  HostPort parsed{std::string(host), 0};
  auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), parsed.port);
  if (failure != std::errc() || end != port.data() + port.size()) return error;
  return parsed;
}

}  // namespace muster
