#include "coordinator/listen/bind.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/transport/host_port.h"

namespace muster {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<AddressList> Resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (failure != 0) return absl::FailedPreconditionError(gai_strerror(failure));
  return AddressList(found, freeaddrinfo);
}

void SetPort(sockaddr* address, int port) {
  const auto value = htons(static_cast<uint16_t>(port));
  if (address->sa_family == AF_INET) reinterpret_cast<sockaddr_in*>(address)->sin_port = value;
  if (address->sa_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(address)->sin6_port = value;
}

// With `both_families` an IPv6 socket takes IPv4 callers too.
absl::StatusOr<UniqueFd> BindOne(const addrinfo& address, int port, bool both_families) {
  UniqueFd fd(socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1, six_only = both_families ? 0 : 1;
  if (fd.valid()) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (fd.valid() && address.ai_family == AF_INET6) {
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &six_only, sizeof(six_only));
  }
  SetPort(address.ai_addr, port);
  if (!fd.valid() || bind(fd.get(), address.ai_addr, address.ai_addrlen) != 0 ||
      listen(fd.get(), SOMAXCONN) != 0) {
    return absl::FailedPreconditionError(std::strerror(errno));
  }
  return fd;
}

}  // namespace

absl::StatusOr<std::vector<UniqueFd>> BindListeners(const std::string& listen) {
  MUSTER_ASSIGN_OR_RETURN(const HostPort wanted, HostPort::ParseListen(listen));
  const bool wildcard = wanted.host == "0.0.0.0" || wanted.host == "::";
  absl::Status why;
  std::vector<UniqueFd> bound;
  // The wildcard of IPv6 takes both families; where there is no IPv6, that of IPv4 is left.
  std::vector<std::string> hosts = {wanted.host};
  if (wildcard) hosts = {"::", "0.0.0.0"};
  for (const std::string& host : hosts) {
    auto addresses = Resolve(host);
    if (!addresses.ok()) {
      why = addresses.status();
      continue;
    }
    for (const addrinfo* one = addresses->get(); one != nullptr; one = one->ai_next) {
      const int port = bound.empty() ? wanted.port : PortOf(bound.front().get());
      auto fd = BindOne(*one, port, wildcard);
      if (fd.ok()) {
        bound.push_back(*std::move(fd));
      } else {
        why = fd.status();
      }
    }
    if (!bound.empty()) return bound;
  }
  return absl::FailedPreconditionError(
      StrCat("cannot listen on ", listen, ": ", StdView(why.message()),
             "; give another one with --listen or --http, or stop what holds the port (ss -ltnp"
             " shows it)"));
}

int PortOf(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
  }
  if (address.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
  }
  return 0;
}

}  // namespace muster
