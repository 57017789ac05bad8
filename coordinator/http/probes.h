// What the HTTP port answers: /healthz (the process runs), /readyz (the store answers), /metrics
// (Prometheus text format; no label grows with the number of devices).
#pragma once

#include "coordinator/drive/context.h"
#include "coordinator/http/http_server.h"
#include "coordinator/rpc/counters.h"

namespace muster {

HttpServer::Handler MakeProbes(DriveContext& drive, const RpcCounters& counters);

}  // namespace muster
