#include "proto/codec/operator_codec.h"

#include "proto/codec/field.h"
#include "proto/codec/job_fields.h"
#include "proto/core/audit_limits.h"
#include "proto/core/limits.h"

namespace muster {
namespace {

using wire::Field;
using wire::Refuse;

template <typename Request>
absl::StatusOr<PageRequest> DecodePage(const Field& at, const Request& wire) {
  PageRequest decoded;
  MUSTER_RETURN_IF_ERROR(
      wire::CheckAtMost(at["page_size"], wire.page_size(), limits::kMaxPageSize, "rows"));
  decoded.size = wire.page_size() == 0 ? limits::kDefaultPageSize : wire.page_size();
  MUSTER_RETURN_IF_ERROR(
      wire::CheckWord(at["page_token"], wire.page_token(), limits::kMaxPageTokenBytes));
  decoded.token = wire.page_token();
  return decoded;
}

template <typename Request>
absl::StatusOr<PromotionQuery> DecodePromotionQuery(const Field& at, const Request& wire) {
  if (wire.id().empty() == wire.name().empty()) {
    return Refuse(at, wire.id().empty() ? "names no promotion; set id or name"
                                        : "has both id and name; set one of them");
  }
  PromotionQuery decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.id, wire::DecodeOptionalId<PromotionId>(at["id"], wire.id()));
  MUSTER_ASSIGN_OR_RETURN(decoded.name, wire::DecodeOptionalId<ModelName>(at["name"], wire.name()));
  return decoded;
}

// An id whose kind has no type of its own, or nothing.
absl::Status CheckOptionalId(const Field& at, std::string_view what, const std::string& text) {
  if (text.empty()) return absl::OkStatus();
  absl::Status status = ValidateId(what, text);
  return status.ok() ? status : Refuse(at, status);
}

}  // namespace

absl::StatusOr<JobSubmission> DecodeSubmitJob(const v1::SubmitJobRequest& wire) {
  const Field at("operator.SubmitJobRequest");
  JobSubmission decoded;
  MUSTER_RETURN_IF_ERROR(wire::CheckPresent(at["spec"], wire.has_spec()));
  MUSTER_ASSIGN_OR_RETURN(decoded.spec, wire::Decode(at["spec"], wire.spec()));
  MUSTER_RETURN_IF_ERROR(
      CheckOptionalId(at["idempotency_key"], "idempotency key", wire.idempotency_key()));
  decoded.idempotency_key = wire.idempotency_key();
  return decoded;
}

absl::StatusOr<PageRequest> DecodeListJobs(const v1::ListJobsRequest& wire) {
  return DecodePage(Field("operator.ListJobsRequest"), wire);
}

absl::StatusOr<JobQuery> DecodeGetJob(const v1::GetJobRequest& wire) {
  const Field at("operator.GetJobRequest");
  JobQuery decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.job, wire::DecodeId<JobId>(at["job"], wire.job()));
  MUSTER_RETURN_IF_ERROR(
      wire::CheckAtMost(at["from_round"], wire.from_round(), limits::kMaxRounds));
  decoded.from_round = wire.from_round();
  return decoded;
}

absl::StatusOr<JobId> DecodeCancelJob(const v1::CancelJobRequest& wire) {
  return wire::DecodeId<JobId>(Field("operator.CancelJobRequest")["job"], wire.job());
}

absl::StatusOr<ModelListing> DecodeListModels(const v1::ListModelsRequest& wire) {
  const Field at("operator.ListModelsRequest");
  ModelListing decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.name, wire::DecodeOptionalId<ModelName>(at["name"], wire.name()));
  MUSTER_ASSIGN_OR_RETURN(decoded.page, DecodePage(at, wire));
  return decoded;
}

absl::StatusOr<ModelQuery> DecodeGetModel(const v1::GetModelRequest& wire) {
  const Field at("operator.GetModelRequest");
  ModelQuery decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.name, wire::DecodeId<ModelName>(at["name"], wire.name()));
  decoded.version = wire.version();
  return decoded;
}

absl::StatusOr<UsageQuery> DecodeGetUsage(const v1::GetUsageRequest& wire) {
  const Field at("operator.GetUsageRequest");
  UsageQuery decoded;
  MUSTER_RETURN_IF_ERROR(CheckOptionalId(at["job"], "job id", wire.job()));
  decoded.job = wire.job();
  MUSTER_ASSIGN_OR_RETURN(decoded.device,
                          wire::DecodeOptionalId<DeviceId>(at["device"], wire.device()));
  return decoded;
}

absl::StatusOr<TokenOrder> DecodeCreateToken(const v1::CreateTokenRequest& wire) {
  const Field at("operator.CreateTokenRequest");
  TokenOrder decoded;
  MUSTER_RETURN_IF_ERROR(
      wire::CheckRange(at["uses"], wire.uses(), 1, limits::kMaxTokenUses, "uses"));
  decoded.uses = wire.uses();
  MUSTER_ASSIGN_OR_RETURN(decoded.ttl,
                          wire::DecodeDuration(at["ttl_us"], wire.ttl_us(), limits::kMinTokenTtl,
                                               limits::kMaxTokenTtl));
  MUSTER_ASSIGN_OR_RETURN(decoded.labels, wire::DecodeLabels(at["labels"], wire.labels()));
  return decoded;
}

absl::StatusOr<TokenId> DecodeRevokeToken(const v1::RevokeTokenRequest& wire) {
  return wire::DecodeId<TokenId>(Field("operator.RevokeTokenRequest")["id"], wire.id());
}

absl::StatusOr<DeviceListing> DecodeListDevices(const v1::ListDevicesRequest& wire) {
  const Field at("operator.ListDevicesRequest");
  DeviceListing decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.selector, wire::DecodeSelector(at["selector"], wire.selector()));
  MUSTER_ASSIGN_OR_RETURN(decoded.page, DecodePage(at, wire));
  return decoded;
}

absl::StatusOr<DeviceId> DecodeGetDevice(const v1::GetDeviceRequest& wire) {
  return wire::DecodeId<DeviceId>(Field("operator.GetDeviceRequest")["id"], wire.id());
}

absl::StatusOr<Revocation> DecodeRevokeDevice(const v1::RevokeDeviceRequest& wire) {
  const Field at("operator.RevokeDeviceRequest");
  Revocation decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.device, wire::DecodeId<DeviceId>(at["id"], wire.id()));
  MUSTER_RETURN_IF_ERROR(wire::CheckText(at["reason"], wire.reason(), limits::kMaxTextLength));
  decoded.reason = wire.reason();
  return decoded;
}

absl::StatusOr<PromotionOrder> DecodePromote(const v1::PromoteRequest& wire) {
  const Field at("operator.PromoteRequest");
  PromotionOrder decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.name, wire::DecodeId<ModelName>(at["name"], wire.name()));
  MUSTER_RETURN_IF_ERROR(wire::CheckRange(at["version"], wire.version(), 1, UINT32_MAX));
  decoded.version = wire.version();
  MUSTER_ASSIGN_OR_RETURN(decoded.cohort, wire::DecodeSelector(at["cohort"], wire.cohort()));
  decoded.personalize = !wire.no_personalize();
  return decoded;
}

absl::StatusOr<PromotionQuery> DecodeGetPromotion(const v1::GetPromotionRequest& wire) {
  return DecodePromotionQuery(Field("operator.GetPromotionRequest"), wire);
}

absl::StatusOr<PromotionQuery> DecodeRollBack(const v1::RollBackRequest& wire) {
  return DecodePromotionQuery(Field("operator.RollBackRequest"), wire);
}

absl::StatusOr<AuditListing> DecodeListAudit(const v1::ListAuditRequest& wire) {
  const Field at("operator.ListAuditRequest");
  AuditListing decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.since,
                          wire::DecodeTimestamp(at["since_unix_us"], wire.since_unix_us()));
  MUSTER_RETURN_IF_ERROR(wire::CheckText(at["actor"], wire.actor(), limits::kMaxAuditNameBytes));
  decoded.actor = wire.actor();
  MUSTER_RETURN_IF_ERROR(wire::CheckText(at["action"], wire.action(), limits::kMaxAuditNameBytes));
  decoded.action = wire.action();
  MUSTER_ASSIGN_OR_RETURN(decoded.page, DecodePage(at, wire));
  return decoded;
}

absl::StatusOr<std::vector<AuditPlace>> DecodeVerifyAudit(const v1::VerifyAuditRequest& wire) {
  const Field at("operator.VerifyAuditRequest");
  const auto count = static_cast<size_t>(wire.expected_size());
  MUSTER_RETURN_IF_ERROR(wire::CheckCount(at["expected"], count, limits::kMaxAuditPlaces));
  std::vector<AuditPlace> decoded(count);
  for (size_t i = 0; i < count; ++i) {
    const v1::AuditPlace& place = wire.expected(static_cast<int>(i));
    const Field here = at.At("expected", i);
    MUSTER_RETURN_IF_ERROR(
        wire::CheckWord(here["chain"], place.chain(), limits::kMaxAuditChainBytes));
    if (place.chain().empty()) return Refuse(here["chain"], "is empty");
    decoded[i].chain = place.chain();
    decoded[i].number = place.number();
    MUSTER_ASSIGN_OR_RETURN(decoded[i].hash, wire::DecodeDigest(here["hash"], place.hash()));
  }
  return decoded;
}

}  // namespace muster
