// How long a coordinator serves: until a signal, or, if others hold its sockets and wake it, until
// it has nothing to do.
#pragma once

#include <signal.h>

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

// Blocks until one of `signals` (blocked in every thread) or, unless `idle_exit` is zero, until
// nothing was asked for so long and nothing falls due as soon. In the latter case no connections
// are taken any more: whoever knocks waits in the sockets' queues for the next process.
// Returns how long open calls should be given.
Duration WaitForStop(const sigset_t& signals, Duration idle_exit, Duration stop_grace,
                     const Served& served);

}  // namespace muster
