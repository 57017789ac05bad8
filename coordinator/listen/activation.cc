#include "coordinator/listen/activation.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kPid[] = "LISTEN_PID";
constexpr char kFds[] = "LISTEN_FDS";
constexpr char kNames[] = "LISTEN_FDNAMES";
constexpr char kUnknown[] = "unknown";

absl::StatusOr<int> ParseNumber(const char* variable, std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    return absl::InvalidArgumentError(
        StrCat(variable, " is '", text.substr(0, 32),
               "', not a number; start the coordinator by a socket unit or without it"));
  }
  return number;
}

std::vector<std::string> SplitNames(const std::string& names) {
  std::vector<std::string> parts(1);
  for (const char c : names) {
    if (c == ':') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::optional<std::string> TakeVariable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  std::string text = value;
  unsetenv(name);
  return text;
}

absl::StatusOr<UniqueFd> TakeOver(int number) {
  // Owned at once: what cannot be used is closed.
  UniqueFd fd(number);
  const auto refuse = [number](std::string_view why) {
    return absl::InvalidArgumentError(StrCat("inherited descriptor ", number, " ", why,
                                             "; the socket unit needs ListenStream=HOST:PORT"));
  };
  int listening = 0, type = 0, domain = 0;
  socklen_t size = sizeof(int);
  if (getsockopt(number, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0) {
    return refuse(StrCat("is no socket: ", std::strerror(errno)));
  }
  getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &size);
  getsockopt(number, SOL_SOCKET, SO_DOMAIN, &domain, &size);
  if (listening == 0) return refuse("is a socket that does not listen (is Accept=yes set?)");
  if (type != SOCK_STREAM || (domain != AF_INET && domain != AF_INET6)) {
    return refuse("is no TCP socket");
  }
  if (fcntl(number, F_SETFD, FD_CLOEXEC) != 0 ||
      fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK) != 0) {
    return refuse(StrCat("cannot be taken over: ", std::strerror(errno)));
  }
  return fd;
}

}  // namespace

absl::StatusOr<std::vector<InheritedSocket>> ParseActivation(const ActivationVariables& variables,
                                                             int own_pid) {
  std::vector<InheritedSocket> sockets;
  if (!variables.pid || !variables.fds) return sockets;
  MUSTER_ASSIGN_OR_RETURN(const int pid, ParseNumber(kPid, *variables.pid));
  if (pid != own_pid) return sockets;
  MUSTER_ASSIGN_OR_RETURN(const int count, ParseNumber(kFds, *variables.fds));
  if (count > kMaxInheritedSockets) {
    return absl::InvalidArgumentError(
        StrCat(kFds, " is ", count, ", above the limit of ", kMaxInheritedSockets, " sockets"));
  }
  for (int i = 0; i < count; ++i) sockets.push_back({kFirstInheritedFd + i, kUnknown});
  if (!variables.names || variables.names->empty()) return sockets;
  const std::vector<std::string> names = SplitNames(*variables.names);
  if (names.size() != sockets.size()) {
    return absl::InvalidArgumentError(
        StrCat(kNames, " has ", names.size(), " names for ", sockets.size(), " sockets"));
  }
  for (size_t i = 0; i < names.size(); ++i) sockets[i].name = names[i];
  return sockets;
}

absl::StatusOr<SocketRoles> AssignRoles(std::span<const InheritedSocket> sockets) {
  SocketRoles roles;
  for (const InheritedSocket& socket : sockets) {
    if (socket.name == "http") {
      if (roles.http) {
        return absl::InvalidArgumentError("two inherited sockets are named http; one is served");
      }
      roles.http = socket.fd;
    } else if (socket.name == "grpc" || sockets.size() == 1) {
      roles.grpc.push_back(socket.fd);
    } else {
      return absl::InvalidArgumentError(
          StrCat("inherited socket '", std::string_view(socket.name).substr(0, 64),
                 "' is neither named grpc nor http; set FileDescriptorName= in its socket unit"));
    }
  }
  if (roles.grpc.empty() && roles.http) {
    return absl::InvalidArgumentError(
        "only a socket named http was inherited; the socket units need one named grpc as well");
  }
  return roles;
}

absl::StatusOr<InheritedSockets> TakeInheritedSockets() {
  ActivationVariables variables;
  variables.pid = TakeVariable(kPid);
  variables.fds = TakeVariable(kFds);
  variables.names = TakeVariable(kNames);
  MUSTER_ASSIGN_OR_RETURN(const auto sockets, ParseActivation(variables, getpid()));
  MUSTER_ASSIGN_OR_RETURN(const SocketRoles roles, AssignRoles(sockets));
  InheritedSockets taken;
  for (const int fd : roles.grpc) {
    MUSTER_ASSIGN_OR_RETURN(UniqueFd socket, TakeOver(fd));
    taken.grpc.push_back(std::move(socket));
  }
  if (roles.http) {
    MUSTER_ASSIGN_OR_RETURN(taken.http, TakeOver(*roles.http));
  }
  return taken;
}

}  // namespace muster
