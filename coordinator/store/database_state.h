// What a database says of itself, to whoever looks whether it is in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proto/core/time.h"

namespace muster {

struct DatabaseState {
  std::string name;        // "SQLite", "PostgreSQL 15.14 at HOST:PORT/DATABASE"
  uint64_t bytes = 0;      // that it takes
  bool read_only = false;  // a server that was told to take no writes
  // How far a server's clock is ahead of this machine's, at least; negative: behind. Nothing where
  // there is no server.
  std::optional<Duration> clock_ahead;
};

}  // namespace muster
