// The device service between wire messages and values, for both ends: the coordinator decodes what
// devices say, the device decodes what the coordinator answers. InvalidArgument with the field's
// path. Thread-safe.
#pragma once

#include <chrono>

#include "absl/status/statusor.h"
#include "muster/v1/device.pb.h"
#include "proto/core/device_messages.h"

namespace muster {

namespace limits {
inline constexpr size_t kMaxAgentVersion = 64;  // characters
inline constexpr size_t kMaxInvocationsPerAnswer = 64;
inline constexpr Duration kMaxNextCheckIn = std::chrono::hours(24 * 7);
inline constexpr size_t kMaxTrustBytes = 64u << 10;  // the PEM of the CAs that are trusted
inline constexpr Duration kMaxMeteredTime = std::chrono::hours(24 * 365);
inline constexpr uint64_t kMaxMeteredBytes = 1ull << 50;
inline constexpr uint64_t kMaxTrainExamples = 1ull << 40;  // that a device may say it has
}  // namespace limits

// What devices say.
absl::StatusOr<CheckIn> DecodeCheckIn(const v1::CheckInRequest& wire);
v1::CheckInRequest EncodeCheckIn(const CheckIn& check_in);

absl::StatusOr<UpdateOffer> DecodeUpdateOffer(const v1::SubmitUpdateRequest& wire);
v1::SubmitUpdateRequest EncodeUpdateOffer(const UpdateOffer& offer);

// Encoding cuts a failure to limits::kMaxTextLength and replaces what is no text, so that an honest
// report is never refused for its prose; the same holds for the reasons below.
absl::StatusOr<ResultOffer> DecodeResultOffer(const v1::SubmitResultRequest& wire);
v1::SubmitResultRequest EncodeResultOffer(const ResultOffer& offer);

absl::StatusOr<StateReport> DecodeStateReport(const v1::ReportStateRequest& wire);
v1::ReportStateRequest EncodeStateReport(const StateReport& report);

absl::StatusOr<Eligibility> DecodeEligibility(const v1::Eligibility& wire);
v1::Eligibility EncodeEligibility(const Eligibility& eligibility);
absl::StatusOr<Metering> DecodeMetering(const v1::Metering& wire);
v1::Metering EncodeMetering(const Metering& metering);
absl::StatusOr<ModelStatus> DecodeModelStatus(const v1::ModelStatus& wire);
v1::ModelStatus EncodeModelStatus(const ModelStatus& status);

// What the coordinator answers.
absl::StatusOr<CheckInAnswer> DecodeCheckInAnswer(const v1::CheckInResponse& wire);
v1::CheckInResponse EncodeCheckInAnswer(const CheckInAnswer& answer);

absl::StatusOr<OfferAnswer> DecodeUpdateAnswer(const v1::SubmitUpdateResponse& wire);
v1::SubmitUpdateResponse EncodeUpdateAnswer(const OfferAnswer& answer);
absl::StatusOr<OfferAnswer> DecodeResultAnswer(const v1::SubmitResultResponse& wire);
v1::SubmitResultResponse EncodeResultAnswer(const OfferAnswer& answer);

// An invocation of train or evaluate names its job, round and attempt.
absl::StatusOr<Invocation> DecodeInvocation(const v1::Invocation& wire);
v1::Invocation EncodeInvocation(const Invocation& invocation);
// At most limits::kMaxModelsPerDevice models, one per name.
absl::StatusOr<DesiredState> DecodeDesiredState(const v1::DesiredState& wire);
v1::DesiredState EncodeDesiredState(const DesiredState& desired);

}  // namespace muster
