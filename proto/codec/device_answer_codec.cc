// The coordinator's half of device_codec.h.
#include <set>
#include <utility>

#include "proto/codec/device_codec.h"
#include "proto/codec/field.h"
#include "proto/codec/offer_fields.h"
#include "proto/core/limits.h"

namespace muster {
namespace wire {
namespace {

constexpr EnumPair<v1::FunctionKind, FunctionKind> kFunctions[] = {
    {v1::FUNCTION_KIND_TRAIN, FunctionKind::kTrain},
    {v1::FUNCTION_KIND_EVALUATE, FunctionKind::kEvaluate},
    {v1::FUNCTION_KIND_PERSONALIZE, FunctionKind::kPersonalize},
    {v1::FUNCTION_KIND_INFER, FunctionKind::kInfer},
};

// W3C Trace Context, version 00: "00-<32 hex>-<16 hex>-<2 hex>", lower case.
bool IsTraceparent(std::string_view text) {
  constexpr std::string_view kPattern = "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
  if (text.size() != kPattern.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (kPattern[i] == 'x' ? !hex : c != kPattern[i]) return false;
  }
  return true;
}

// Only desired state may ask without a job; training and evaluating belong to a round.
absl::Status DecodePlace(const Field& at, const v1::Invocation& wire, Invocation& decoded) {
  const bool in_job = decoded.function == FunctionKind::kTrain ||
                      decoded.function == FunctionKind::kEvaluate || !wire.job().empty();
  if (in_job) {
    MUSTER_ASSIGN_OR_RETURN(decoded.job, DecodeId<JobId>(at["job"], wire.job()));
  }
  const uint64_t low = in_job ? 1 : 0;
  MUSTER_RETURN_IF_ERROR(CheckRange(at["round"], wire.round(), low, limits::kMaxRounds));
  MUSTER_RETURN_IF_ERROR(CheckRange(at["attempt"], wire.attempt(), low, limits::kMaxRoundAttempts));
  decoded.round = wire.round();
  decoded.attempt = wire.attempt();
  return absl::OkStatus();
}

absl::StatusOr<Invocation> Decode(const Field& at, const v1::Invocation& wire) {
  Invocation decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.id, DecodeId<InvocationId>(at["id"], wire.id()));
  MUSTER_ASSIGN_OR_RETURN(decoded.function,
                          DecodeEnum(at["function"], kFunctions, wire.function()));
  MUSTER_ASSIGN_OR_RETURN(decoded.package, DecodeDigest(at["package"], wire.package()));
  MUSTER_RETURN_IF_ERROR(DecodePlace(at, wire, decoded));
  decoded.seed = wire.seed();
  MUSTER_ASSIGN_OR_RETURN(decoded.deadline,
                          DecodeTimestamp(at["deadline_unix_us"], wire.deadline_unix_us()));
  if (!wire.traceparent().empty() && !IsTraceparent(wire.traceparent())) {
    return Refuse(at["traceparent"], "is no W3C traceparent of version 00");
  }
  decoded.traceparent = wire.traceparent();
  if (wire.secure_aggregation() && decoded.function != FunctionKind::kTrain) {
    return Refuse(at["secure_aggregation"], "is for training only");
  }
  decoded.secure = wire.secure_aggregation();
  return decoded;
}

absl::StatusOr<DesiredModel> Decode(const Field& at, const v1::DesiredModel& wire) {
  DesiredModel decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.name, DecodeId<ModelName>(at["name"], wire.name()));
  MUSTER_RETURN_IF_ERROR(CheckRange(at["version"], wire.version(), 1, UINT32_MAX));
  decoded.version = wire.version();
  MUSTER_ASSIGN_OR_RETURN(decoded.package, DecodeDigest(at["package"], wire.package()));
  decoded.personalize = wire.personalize();
  return decoded;
}

absl::StatusOr<DesiredState> Decode(const Field& at, const v1::DesiredState& wire) {
  DesiredState decoded;
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["generation"], wire.generation(), INT64_MAX));
  decoded.generation = wire.generation();
  MUSTER_RETURN_IF_ERROR(CheckCount(at["models"], wire.models_size(), limits::kMaxModelsPerDevice));
  std::set<ModelName> seen;
  for (int i = 0; i < wire.models_size(); ++i) {
    const Field field = at.At("models", i);
    MUSTER_ASSIGN_OR_RETURN(DesiredModel model, Decode(field, wire.models(i)));
    if (!seen.insert(model.name).second) {
      return Refuse(field["name"], StrCat("'", model.name.value(), "' comes twice"));
    }
    decoded.models.push_back(std::move(model));
  }
  return decoded;
}

// That the text is certificates, and which, is for whoever is to trust them.
absl::StatusOr<TrustUpdate> DecodeTrust(const Field& at, const v1::TrustUpdate& wire) {
  MUSTER_RETURN_IF_ERROR(
      CheckRange(at["generation"], wire.generation(), 1, static_cast<uint64_t>(INT64_MAX)));
  MUSTER_RETURN_IF_ERROR(CheckText(at["ca_pem"], wire.ca_pem(), limits::kMaxTrustBytes));
  if (wire.ca_pem().empty()) return Refuse(at["ca_pem"], "is not set");
  return TrustUpdate{wire.generation(), wire.ca_pem()};
}

}  // namespace
}  // namespace wire

using wire::Field;

absl::StatusOr<CheckInAnswer> DecodeCheckInAnswer(const v1::CheckInResponse& wire) {
  const Field at("device.CheckInResponse");
  CheckInAnswer decoded;
  MUSTER_RETURN_IF_ERROR(wire::CheckCount(at["invocations"], wire.invocations_size(),
                                          limits::kMaxInvocationsPerAnswer));
  for (int i = 0; i < wire.invocations_size(); ++i) {
    MUSTER_ASSIGN_OR_RETURN(Invocation invocation,
                            wire::Decode(at.At("invocations", i), wire.invocations(i)));
    decoded.invocations.push_back(std::move(invocation));
  }
  if (wire.has_desired()) {
    MUSTER_ASSIGN_OR_RETURN(decoded.desired, wire::Decode(at["desired"], wire.desired()));
  }
  constexpr auto kMaxPause =
      std::chrono::duration_cast<std::chrono::milliseconds>(limits::kMaxNextCheckIn);
  MUSTER_RETURN_IF_ERROR(
      wire::CheckAtMost(at["next_check_in_ms"], wire.next_check_in_ms(), kMaxPause.count(), "ms"));
  decoded.next_check_in = std::chrono::milliseconds(wire.next_check_in_ms());
  decoded.in_round = wire.in_round();
  if (wire.has_trust()) {
    MUSTER_ASSIGN_OR_RETURN(decoded.trust, wire::DecodeTrust(at["trust"], wire.trust()));
  }
  return decoded;
}

v1::CheckInResponse EncodeCheckInAnswer(const CheckInAnswer& answer) {
  v1::CheckInResponse wire;
  for (const Invocation& invocation : answer.invocations) {
    *wire.add_invocations() = EncodeInvocation(invocation);
  }
  if (answer.desired.has_value()) *wire.mutable_desired() = EncodeDesiredState(*answer.desired);
  wire.set_next_check_in_ms(static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(answer.next_check_in).count()));
  wire.set_in_round(answer.in_round);
  if (answer.trust.has_value()) {
    wire.mutable_trust()->set_generation(answer.trust->generation);
    wire.mutable_trust()->set_ca_pem(answer.trust->ca_pem);
  }
  return wire;
}

absl::StatusOr<OfferAnswer> DecodeUpdateAnswer(const v1::SubmitUpdateResponse& wire) {
  return wire::DecodeAnswer(Field("device.SubmitUpdateResponse"), wire);
}

v1::SubmitUpdateResponse EncodeUpdateAnswer(const OfferAnswer& answer) {
  return wire::EncodeAnswer<v1::SubmitUpdateResponse>(answer);
}

absl::StatusOr<OfferAnswer> DecodeResultAnswer(const v1::SubmitResultResponse& wire) {
  return wire::DecodeAnswer(Field("device.SubmitResultResponse"), wire);
}

v1::SubmitResultResponse EncodeResultAnswer(const OfferAnswer& answer) {
  return wire::EncodeAnswer<v1::SubmitResultResponse>(answer);
}

absl::StatusOr<Invocation> DecodeInvocation(const v1::Invocation& wire) {
  return wire::Decode(Field("device.Invocation"), wire);
}

v1::Invocation EncodeInvocation(const Invocation& invocation) {
  v1::Invocation wire;
  wire.set_id(invocation.id.value());
  wire.set_function(wire::EncodeEnum(wire::kFunctions, invocation.function));
  wire.set_package(wire::EncodeDigest(invocation.package));
  wire.set_job(invocation.job.value());
  wire.set_round(invocation.round);
  wire.set_attempt(invocation.attempt);
  wire.set_seed(invocation.seed);
  wire.set_deadline_unix_us(invocation.deadline.unix_us);
  wire.set_traceparent(invocation.traceparent);
  wire.set_secure_aggregation(invocation.secure);
  return wire;
}

absl::StatusOr<DesiredState> DecodeDesiredState(const v1::DesiredState& wire) {
  return wire::Decode(Field("device.DesiredState"), wire);
}

v1::DesiredState EncodeDesiredState(const DesiredState& desired) {
  v1::DesiredState wire;
  wire.set_generation(desired.generation);
  for (const DesiredModel& model : desired.models) {
    v1::DesiredModel& out = *wire.add_models();
    out.set_name(model.name.value());
    out.set_version(model.version);
    out.set_package(wire::EncodeDigest(model.package));
    out.set_personalize(model.personalize);
  }
  return wire;
}

}  // namespace muster
