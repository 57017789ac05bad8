// What the HTTP port answers: GET /healthz (the process runs), /readyz (the store answers) and
// /metrics (Prometheus text format; no label grows with the number of devices); POST /tick.
#pragma once

#include "coordinator/drive/context.h"
#include "coordinator/http/http_server.h"
#include "coordinator/http/limit_row.h"
#include "coordinator/http/tick.h"
#include "coordinator/rpc/counters.h"

namespace muster {

// What the answers are made of; all outlive the handler.
struct Probed {
  DriveContext& drive;
  const RpcCounters& counters;
  Ticker& ticker;
  LimitRows limits;
};
HttpServer::Handler MakeProbes(Probed probed);

}  // namespace muster
