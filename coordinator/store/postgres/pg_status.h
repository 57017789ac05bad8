// What PostgreSQL says, as a Status.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace muster {

// `state` is the SQLSTATE, "" for an error of the connection; `why` the server's own message, and
// `where` what it is about: "reading PostgreSQL at HOST:PORT/DATABASE".
absl::Status PgStatus(std::string_view state, const std::string& why, const std::string& where);

// Somebody else's transaction came first, or the server broke a knot of locks: the same
// transaction may succeed when it runs again.
bool IsConflict(std::string_view state);

// The server is going, coming or not the one that takes writes: connect again.
bool IsAway(std::string_view state);

}  // namespace muster
