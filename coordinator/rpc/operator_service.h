// OperatorService over the callback API: jobs, models, usage for researchers; tokens, fleet and
// promotions for operators.
#pragma once

#include "coordinator/rpc/edge.h"
#include "muster/v1/operator.grpc.pb.h"

namespace muster {

class OperatorServiceImpl final : public v1::OperatorService::CallbackService {
 public:
  explicit OperatorServiceImpl(Edge& edge) : edge_(edge) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* SubmitJob(Context*, const v1::SubmitJobRequest*, v1::SubmitJobResponse*) override;
  Reactor* ListJobs(Context*, const v1::ListJobsRequest*, v1::ListJobsResponse*) override;
  Reactor* GetJob(Context*, const v1::GetJobRequest*, v1::GetJobResponse*) override;
  grpc::ServerWriteReactor<v1::GetJobResponse>* WatchJob(Context*,
                                                         const v1::GetJobRequest*) override;
  Reactor* CancelJob(Context*, const v1::CancelJobRequest*, v1::CancelJobResponse*) override;
  Reactor* ListModels(Context*, const v1::ListModelsRequest*, v1::ListModelsResponse*) override;
  Reactor* GetModel(Context*, const v1::GetModelRequest*, v1::GetModelResponse*) override;
  Reactor* GetUsage(Context*, const v1::GetUsageRequest*, v1::GetUsageResponse*) override;
  Reactor* CreateToken(Context*, const v1::CreateTokenRequest*, v1::CreateTokenResponse*) override;
  Reactor* ListTokens(Context*, const v1::ListTokensRequest*, v1::ListTokensResponse*) override;
  Reactor* RevokeToken(Context*, const v1::RevokeTokenRequest*, v1::RevokeTokenResponse*) override;
  Reactor* ListDevices(Context*, const v1::ListDevicesRequest*, v1::ListDevicesResponse*) override;
  Reactor* GetDevice(Context*, const v1::GetDeviceRequest*, v1::GetDeviceResponse*) override;
  Reactor* RevokeDevice(Context*, const v1::RevokeDeviceRequest*,
                        v1::RevokeDeviceResponse*) override;
  Reactor* Promote(Context*, const v1::PromoteRequest*, v1::PromoteResponse*) override;
  Reactor* GetPromotion(Context*, const v1::GetPromotionRequest*,
                        v1::GetPromotionResponse*) override;
  Reactor* RollBack(Context*, const v1::RollBackRequest*, v1::RollBackResponse*) override;
  Reactor* ListAudit(Context*, const v1::ListAuditRequest*, v1::ListAuditResponse*) override;
  Reactor* VerifyAudit(Context*, const v1::VerifyAuditRequest*, v1::VerifyAuditResponse*) override;

 private:
  Edge& edge_;
};

}  // namespace muster
