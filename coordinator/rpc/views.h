// Store records as operators' messages.
#pragma once

#include "coordinator/drive/promotions.h"
#include "coordinator/store/records.h"
#include "muster/v1/operator.pb.h"

namespace muster {

v1::Job ViewJob(const JobRecord& record, const Digest& latest_weights);
v1::RoundSummary ViewRound(const RoundRecord& record);
v1::Model ViewModel(const ModelRecord& record);
v1::TokenInfo ViewToken(const TokenRecord& record);
v1::Device ViewDevice(const DeviceRecord& record);
v1::UsageRow ViewUsage(const UsageRecord& record);
v1::AuditRow ViewAudit(const AuditRecord& record);
v1::Promotion ViewPromotion(const PromotionView& view);

// The job with its rounds from number `from_round` on, as GetJob and WatchJob tell it.
absl::StatusOr<v1::GetJobResponse> DescribeJob(const StoreReader& reader, const JobId& id,
                                               uint32_t from_round);
// The job's row for listings.
absl::StatusOr<v1::Job> SummarizeJob(const StoreReader& reader, const JobRecord& record);

}  // namespace muster
