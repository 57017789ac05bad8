#include "coordinator/cli/ping.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/transport/host_port.h"

namespace muster::cli {
namespace {

constexpr std::chrono::milliseconds kKnockEvery{1};
constexpr int kConnectTimeoutMs = 1000;

using Steady = std::chrono::steady_clock;
using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<Addresses> Resolve(const HostPort& target) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(
        StrCat("cannot find the host ", target.host, ": ", gai_strerror(error)));
  }
  return Addresses(found, freeaddrinfo);
}

// On loopback a connection may meet itself, where the system gives it the very port that it dials.
bool MetItself(int fd) {
  sockaddr_storage own{}, peer{};
  socklen_t own_size = sizeof(own), peer_size = sizeof(peer);
  return getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
         getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 &&
         own_size == peer_size && std::memcmp(&own, &peer, own_size) == 0;
}

bool Listens(const addrinfo& address) {
  UniqueFd fd(socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return false;
  if (connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return !MetItself(fd.get());
  if (errno != EINPROGRESS) return false;
  pollfd polled{fd.get(), POLLOUT, 0};
  if (poll(&polled, 1, kConnectTimeoutMs) <= 0) return false;
  int error = 0;
  socklen_t size = sizeof(error);
  return getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0 &&
         !MetItself(fd.get());
}

bool AnyListens(const std::vector<Addresses>& replicas) {
  for (const Addresses& addresses : replicas) {
    for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
      if (Listens(*at)) return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<Timestamp> WaitForAnswer(Api& api, Duration wait) {
  const auto end = Steady::now() + wait;
  MUSTER_ASSIGN_OR_RETURN(const auto targets, HostPort::ParseList(api.address()));
  std::vector<Addresses> replicas;
  for (const HostPort& target : targets) {
    MUSTER_ASSIGN_OR_RETURN(Addresses addresses, Resolve(target));
    replicas.push_back(std::move(addresses));
  }
  v1::ListJobsRequest request;
  request.set_page_size(1);
  absl::Status last = absl::UnavailableError(
      StrCat("nothing listens at ", api.address(), "; start `muster-coordinator serve` there"));
  do {
    if (AnyListens(replicas)) {
      api.ConnectAtOnce();
      last = api.Call(request).status();
      if (!IsTransient(last)) {
        const Timestamp answered = SystemClock().Now();
        MUSTER_RETURN_IF_ERROR(last);
        return answered;
      }
    }
    std::this_thread::sleep_for(kKnockEvery);
  } while (Steady::now() < end);
  return last;
}

}  // namespace muster::cli
