// How long a coordinator serves: until a signal, or, if others hold its sockets and wake it, until
// it has nothing to do.
#pragma once

#include <signal.h>

#include <functional>

#include "coordinator/drive/housekeeper.h"
#include "coordinator/drive/tasks.h"
#include "coordinator/http/http_server.h"
#include "coordinator/rpc/server.h"
#include "proto/core/time.h"

namespace muster {

struct Served {
  RpcServer& server;
  HttpServer* http;  // may be null
  TaskRunner& tasks;
  const Housekeeper& housekeeper;
  const RpcCounters& counters;
  DriveContext& drive;
};

// What ended the wait.
struct WaitEnd {
  Duration grace;      // for open calls
  bool again = false;  // `changed` said so: serve again
};

// Blocks until one of `signals` (blocked in every thread), until `changed`, which is asked every
// kWatchEvery, or, unless `idle_exit` is zero, until nothing was asked for so long and nothing
// falls due as soon. In the last case no connections are taken any more: whoever knocks waits in
// the sockets' queues for the next process.
inline constexpr Duration kWatchEvery = std::chrono::seconds(2);
WaitEnd WaitForStop(const sigset_t& signals, Duration idle_exit, Duration stop_grace,
                    const std::function<bool()>& changed, const Served& served);

}  // namespace muster
