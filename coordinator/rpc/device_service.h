// DeviceService over the callback API. CheckIn may be held (long poll); everything else answers at
// once.
#pragma once

#include "coordinator/drive/dispatch.h"
#include "coordinator/drive/intake.h"
#include "coordinator/rpc/edge.h"
#include "muster/v1/device.grpc.pb.h"

namespace muster {

class DeviceServiceImpl final : public v1::DeviceService::CallbackService {
 public:
  DeviceServiceImpl(Edge& edge, Dispatcher& dispatcher, UpdateIntake& intake)
      : edge_(edge), dispatcher_(dispatcher), intake_(intake) {}

  grpc::ServerUnaryReactor* CheckIn(grpc::CallbackServerContext* context,
                                    const v1::CheckInRequest* request,
                                    v1::CheckInResponse* response) override;
  grpc::ServerUnaryReactor* SubmitUpdate(grpc::CallbackServerContext* context,
                                         const v1::SubmitUpdateRequest* request,
                                         v1::SubmitUpdateResponse* response) override;
  grpc::ServerUnaryReactor* SubmitResult(grpc::CallbackServerContext* context,
                                         const v1::SubmitResultRequest* request,
                                         v1::SubmitResultResponse* response) override;
  grpc::ServerUnaryReactor* ReportState(grpc::CallbackServerContext* context,
                                        const v1::ReportStateRequest* request,
                                        v1::ReportStateResponse* response) override;

 private:
  Edge& edge_;
  Dispatcher& dispatcher_;
  UpdateIntake& intake_;
};

}  // namespace muster
