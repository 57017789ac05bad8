#include "coordinator/doors.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "coordinator/listen/bind.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

absl::StatusOr<UniqueFd> CopyOf(const UniqueFd& socket) {
  UniqueFd copy(fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
  if (copy.valid()) return copy;
  return absl::ResourceExhaustedError(
      StrCat("no descriptor for a listening socket: ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<Doors> Doors::Open(InheritedSockets inherited, const std::string& listen,
                                  std::string http_listen) {
  if (inherited.grpc.empty()) {
    MUSTER_ASSIGN_OR_RETURN(inherited.grpc, BindListeners(listen));
  }
  return Doors(std::move(inherited), std::move(http_listen));
}

absl::StatusOr<std::vector<UniqueFd>> Doors::Grpc() const {
  std::vector<UniqueFd> copies;
  for (const UniqueFd& socket : sockets_.grpc) {
    MUSTER_ASSIGN_OR_RETURN(UniqueFd copy, CopyOf(socket));
    copies.push_back(std::move(copy));
  }
  return copies;
}

absl::StatusOr<UniqueFd> Doors::Http() const {
  if (!sockets_.http.valid()) return UniqueFd();
  return CopyOf(sockets_.http);
}

void Doors::KeepHttpPort(int port) {
  if (port > 0) http_listen_ = StrCat(http_listen_.substr(0, http_listen_.rfind(':') + 1), port);
}

}  // namespace muster
