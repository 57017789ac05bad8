// Listening sockets of the process's own.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/files.h"

namespace muster {

// `listen` is HOST:PORT: an address or a name, of which every address is listened on; the wildcard
// of either family takes both. Port 0 picks a free one, the same for all. FailedPrecondition if the
// port is taken or no address is this machine's.
absl::StatusOr<std::vector<UniqueFd>> BindListeners(const std::string& listen);

// The port that a bound TCP socket has, or 0.
int PortOf(int socket);

}  // namespace muster
