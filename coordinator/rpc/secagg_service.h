// SecureAggregationService over the callback API. Await may be held (long poll); SubmitMasked is
// answered once the sum that contains the vector is durable; everything else at once.
#pragma once

#include "coordinator/drive/exchange.h"
#include "coordinator/rpc/edge.h"
#include "muster/v1/secagg.grpc.pb.h"

namespace muster {

class SecAggServiceImpl final : public v1::SecureAggregationService::CallbackService {
 public:
  SecAggServiceImpl(Edge& edge, UpdateIntake& intake)
      : edge_(edge), exchange_(edge.drive(), intake) {}

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const v1::JoinRequest* request,
                                 v1::JoinResponse* response) override;
  grpc::ServerUnaryReactor* Advertise(grpc::CallbackServerContext* context,
                                      const v1::AdvertiseRequest* request,
                                      v1::SecAggAnswer* response) override;
  grpc::ServerUnaryReactor* Share(grpc::CallbackServerContext* context,
                                  const v1::ShareRequest* request,
                                  v1::SecAggAnswer* response) override;
  grpc::ServerUnaryReactor* SubmitMasked(grpc::CallbackServerContext* context,
                                         const v1::SubmitMaskedRequest* request,
                                         v1::SecAggAnswer* response) override;
  grpc::ServerUnaryReactor* Agree(grpc::CallbackServerContext* context,
                                  const v1::AgreeRequest* request,
                                  v1::SecAggAnswer* response) override;
  grpc::ServerUnaryReactor* Unmask(grpc::CallbackServerContext* context,
                                   const v1::UnmaskSharesRequest* request,
                                   v1::SecAggAnswer* response) override;
  grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context,
                                   const v1::RefuseRequest* request,
                                   v1::SecAggAnswer* response) override;
  grpc::ServerUnaryReactor* Await(grpc::CallbackServerContext* context,
                                  const v1::AwaitRequest* request,
                                  v1::AwaitResponse* response) override;

 private:
  Edge& edge_;
  SecureExchange exchange_;
};

}  // namespace muster
