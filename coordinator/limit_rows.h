// Every limit of a serving coordinator that has a name, with what is in use of it.
#pragma once

#include <vector>

#include "coordinator/http/http_server.h"
#include "coordinator/http/limit_row.h"
#include "coordinator/http/tick.h"
#include "coordinator/rpc/server.h"

namespace muster {

// `http` may be null. The parts outlive the call.
struct Limited {
  RpcServer& server;
  Edge& edge;
  const Dispatcher& dispatcher;
  const Ticker& ticker;
  const HttpServer* http;
};
std::vector<LimitRow> CollectLimits(const Limited& limited);

}  // namespace muster
