// The variables of socket activation, one a line: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "coordinator/listen/activation.h"

namespace {

std::optional<std::string> NextLine(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const size_t end = text.find('\n');
  std::string line(text.substr(0, end));
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  muster::ActivationVariables variables;
  variables.pid = NextLine(text);
  variables.fds = NextLine(text);
  variables.names = NextLine(text);
  const auto sockets = muster::ParseActivation(variables, 7);
  if (!sockets.ok()) return 0;
  if (sockets->size() > muster::kMaxInheritedSockets) std::abort();
  const auto roles = muster::AssignRoles(*sockets);
  if (roles.ok() && roles->grpc.size() + roles->http.has_value() != sockets->size()) std::abort();
  return 0;
}
