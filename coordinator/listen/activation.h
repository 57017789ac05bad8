// Socket activation: listening sockets that whoever started this process holds open for it. The
// protocol is sd_listen_fds(3): descriptors from 3 on, counted in LISTEN_FDS, meant for the process
// LISTEN_PID, named in LISTEN_FDNAMES.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/files.h"

namespace muster {

inline constexpr int kFirstInheritedFd = 3;
inline constexpr int kMaxInheritedSockets = 64;

// The environment's three variables; nothing where one is not set.
struct ActivationVariables {
  std::optional<std::string> pid, fds, names;
};

struct InheritedSocket {
  int fd = -1;
  std::string name;  // "unknown" where LISTEN_FDNAMES does not say
};

// None if the variables are not set or meant for another process. InvalidArgument names the
// variable that makes no sense.
absl::StatusOr<std::vector<InheritedSocket>> ParseActivation(const ActivationVariables& variables,
                                                             int own_pid);

// Who answers on which. A socket named "grpc" or "http" is for that; the only socket of another
// name is for gRPC. InvalidArgument for more of other names.
struct SocketRoles {
  std::vector<int> grpc;
  std::optional<int> http;
};
absl::StatusOr<SocketRoles> AssignRoles(std::span<const InheritedSocket> sockets);

// Reads and unsets the variables, checks that each descriptor is a listening TCP socket, and takes
// it over: non-blocking, closed on exec. Both empty if nothing was inherited.
struct InheritedSockets {
  std::vector<UniqueFd> grpc;
  UniqueFd http;
};
absl::StatusOr<InheritedSockets> TakeInheritedSockets();

}  // namespace muster
