// WatchJob: the job as it is now, then again whenever it changes, until it ends.
#pragma once

#include "coordinator/rpc/edge.h"
#include "muster/v1/operator.grpc.pb.h"

namespace muster {

grpc::ServerWriteReactor<v1::GetJobResponse>* MakeJobWatch(Edge& edge,
                                                           grpc::CallbackServerContext* context,
                                                           const v1::GetJobRequest* request);

}  // namespace muster
