// What researchers and operators ask for, from wire messages to values. Only this direction:
// replies are built from the store's records. InvalidArgument with the field's path. Thread-safe.
#pragma once

#include <chrono>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/v1/operator.pb.h"
#include "proto/core/operator_messages.h"

namespace muster {

namespace limits {
inline constexpr uint32_t kDefaultPageSize = 100;  // rows, when a request says 0
inline constexpr size_t kMaxPageTokenBytes = 256;
inline constexpr Duration kMinTokenTtl = std::chrono::seconds(1);
}  // namespace limits

absl::StatusOr<JobSubmission> DecodeSubmitJob(const v1::SubmitJobRequest& wire);
absl::StatusOr<PageRequest> DecodeListJobs(const v1::ListJobsRequest& wire);
absl::StatusOr<JobQuery> DecodeGetJob(const v1::GetJobRequest& wire);  // also WatchJob's
absl::StatusOr<JobId> DecodeCancelJob(const v1::CancelJobRequest& wire);
absl::StatusOr<ModelListing> DecodeListModels(const v1::ListModelsRequest& wire);
absl::StatusOr<ModelQuery> DecodeGetModel(const v1::GetModelRequest& wire);
absl::StatusOr<UsageQuery> DecodeGetUsage(const v1::GetUsageRequest& wire);

absl::StatusOr<TokenOrder> DecodeCreateToken(const v1::CreateTokenRequest& wire);
absl::StatusOr<TokenId> DecodeRevokeToken(const v1::RevokeTokenRequest& wire);
absl::StatusOr<DeviceListing> DecodeListDevices(const v1::ListDevicesRequest& wire);
absl::StatusOr<DeviceId> DecodeGetDevice(const v1::GetDeviceRequest& wire);
absl::StatusOr<Revocation> DecodeRevokeDevice(const v1::RevokeDeviceRequest& wire);
absl::StatusOr<PromotionOrder> DecodePromote(const v1::PromoteRequest& wire);
absl::StatusOr<PromotionQuery> DecodeGetPromotion(const v1::GetPromotionRequest& wire);
absl::StatusOr<PromotionQuery> DecodeRollBack(const v1::RollBackRequest& wire);
absl::StatusOr<AuditListing> DecodeListAudit(const v1::ListAuditRequest& wire);
absl::StatusOr<std::vector<AuditPlace>> DecodeVerifyAudit(const v1::VerifyAuditRequest& wire);

}  // namespace muster
