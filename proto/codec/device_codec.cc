#include "proto/codec/device_codec.h"

#include <set>
#include <utility>

#include "proto/codec/field.h"
#include "proto/codec/offer_fields.h"
#include "proto/core/limits.h"

namespace muster {
namespace wire {
namespace {

constexpr EnumPair<v1::ModelPhase, ModelPhase> kModelPhases[] = {
    {v1::MODEL_PHASE_APPLYING, ModelPhase::kApplying},
    {v1::MODEL_PHASE_LIVE, ModelPhase::kLive},
    {v1::MODEL_PHASE_FAILED, ModelPhase::kFailed},
};

absl::StatusOr<Eligibility> Decode(const Field& at, const v1::Eligibility& wire) {
  MUSTER_RETURN_IF_ERROR(
      CheckAtMost(at["train_examples"], wire.train_examples(), limits::kMaxTrainExamples));
  return Eligibility{.idle = wire.idle(),
                     .charging = wire.charging(),
                     .unmetered = wire.unmetered(),
                     .custom = wire.custom(),
                     .has_data = wire.has_data(),
                     .train_examples = wire.train_examples()};
}

absl::StatusOr<Duration> DecodeMeteredTime(const Field& at, uint64_t us) {
  MUSTER_RETURN_IF_ERROR(
      CheckAtMost(at, us, static_cast<uint64_t>(limits::kMaxMeteredTime.count()), "us"));
  return Duration(static_cast<int64_t>(us));
}

absl::StatusOr<ModelStatus> Decode(const Field& at, const v1::ModelStatus& wire) {
  ModelStatus decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.name, DecodeId<ModelName>(at["name"], wire.name()));
  MUSTER_RETURN_IF_ERROR(CheckRange(at["version"], wire.version(), 1, UINT32_MAX));
  decoded.version = wire.version();
  MUSTER_ASSIGN_OR_RETURN(decoded.phase, DecodeEnum(at["phase"], kModelPhases, wire.phase()));
  MUSTER_RETURN_IF_ERROR(CheckText(at["reason"], wire.reason(), limits::kMaxTextLength));
  decoded.reason = wire.reason();
  decoded.serving_version = wire.serving_version();
  decoded.serving_personalized = wire.serving_personalized();
  MUSTER_ASSIGN_OR_RETURN(decoded.metrics, DecodeMetrics(at["metrics"], wire.metrics()));
  return decoded;
}

}  // namespace

absl::StatusOr<Metering> DecodeMetering(const Field& at, const v1::Metering& wire) {
  Metering decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.wall, DecodeMeteredTime(at["wall_us"], wire.wall_us()));
  MUSTER_ASSIGN_OR_RETURN(decoded.cpu, DecodeMeteredTime(at["cpu_us"], wire.cpu_us()));
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["peak_memory_bytes"], wire.peak_memory_bytes(),
                                     limits::kMaxMeteredBytes, "bytes"));
  MUSTER_RETURN_IF_ERROR(
      CheckAtMost(at["bytes_down"], wire.bytes_down(), limits::kMaxMeteredBytes, "bytes"));
  MUSTER_RETURN_IF_ERROR(
      CheckAtMost(at["bytes_up"], wire.bytes_up(), limits::kMaxMeteredBytes, "bytes"));
  decoded.peak_memory_bytes = wire.peak_memory_bytes();
  decoded.bytes_down = wire.bytes_down();
  decoded.bytes_up = wire.bytes_up();
  decoded.cold_start = wire.cold_start();
  return decoded;
}

}  // namespace wire

using wire::CheckAtMost;
using wire::CheckPresent;
using wire::Field;

absl::StatusOr<CheckIn> DecodeCheckIn(const v1::CheckInRequest& wire) {
  const Field at("device.CheckInRequest");
  CheckIn decoded;
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["eligibility"], wire.has_eligibility()));
  MUSTER_ASSIGN_OR_RETURN(decoded.eligibility, wire::Decode(at["eligibility"], wire.eligibility()));
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["known_generation"], wire.known_generation(), INT64_MAX));
  decoded.known_generation = wire.known_generation();
  constexpr auto kMaxWait = std::chrono::milliseconds(limits::kMaxCheckInWait);
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["wait_ms"], wire.wait_ms(), kMaxWait.count(), "ms"));
  decoded.wait = std::chrono::milliseconds(wire.wait_ms());
  MUSTER_RETURN_IF_ERROR(
      wire::CheckWord(at["agent_version"], wire.agent_version(), limits::kMaxAgentVersion));
  decoded.agent_version = wire.agent_version();
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["trust_generation"], wire.trust_generation(), INT64_MAX));
  decoded.trust_generation = wire.trust_generation();
  return decoded;
}

v1::CheckInRequest EncodeCheckIn(const CheckIn& check_in) {
  v1::CheckInRequest wire;
  *wire.mutable_eligibility() = EncodeEligibility(check_in.eligibility);
  wire.set_known_generation(check_in.known_generation);
  wire.set_wait_ms(static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(check_in.wait).count()));
  wire.set_agent_version(check_in.agent_version);
  wire.set_trust_generation(check_in.trust_generation);
  return wire;
}

absl::StatusOr<UpdateOffer> DecodeUpdateOffer(const v1::SubmitUpdateRequest& wire) {
  const Field at("device.SubmitUpdateRequest");
  UpdateOffer decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.invocation,
                          wire::DecodeId<InvocationId>(at["invocation"], wire.invocation()));
  MUSTER_ASSIGN_OR_RETURN(decoded.update, wire::DecodeDigest(at["update"], wire.update()));
  MUSTER_RETURN_IF_ERROR(wire::CheckRange(at["examples"], wire.examples(), 1,
                                          limits::kMaxExamplesPerUpdate, "examples"));
  decoded.examples = wire.examples();
  MUSTER_ASSIGN_OR_RETURN(decoded.metrics, wire::DecodeMetrics(at["metrics"], wire.metrics()));
  MUSTER_ASSIGN_OR_RETURN(decoded.metering, wire::DecodeMetering(at["metering"], wire.metering()));
  return decoded;
}

v1::SubmitUpdateRequest EncodeUpdateOffer(const UpdateOffer& offer) {
  v1::SubmitUpdateRequest wire;
  wire.set_invocation(offer.invocation.value());
  wire.set_update(wire::EncodeDigest(offer.update));
  wire.set_examples(offer.examples);
  wire::EncodeMetrics(offer.metrics, wire.mutable_metrics());
  *wire.mutable_metering() = EncodeMetering(offer.metering);
  return wire;
}

absl::StatusOr<ResultOffer> DecodeResultOffer(const v1::SubmitResultRequest& wire) {
  const Field at("device.SubmitResultRequest");
  ResultOffer decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.invocation,
                          wire::DecodeId<InvocationId>(at["invocation"], wire.invocation()));
  MUSTER_RETURN_IF_ERROR(
      CheckAtMost(at["examples"], wire.examples(), limits::kMaxExamplesPerUpdate, "examples"));
  decoded.examples = wire.examples();
  MUSTER_ASSIGN_OR_RETURN(decoded.metrics, wire::DecodeMetrics(at["metrics"], wire.metrics()));
  MUSTER_ASSIGN_OR_RETURN(decoded.metering, wire::DecodeMetering(at["metering"], wire.metering()));
  MUSTER_RETURN_IF_ERROR(wire::CheckText(at["failure"], wire.failure(), limits::kMaxTextLength));
  decoded.failure = wire.failure();
  return decoded;
}

v1::SubmitResultRequest EncodeResultOffer(const ResultOffer& offer) {
  v1::SubmitResultRequest wire;
  wire.set_invocation(offer.invocation.value());
  wire.set_examples(offer.examples);
  wire::EncodeMetrics(offer.metrics, wire.mutable_metrics());
  *wire.mutable_metering() = EncodeMetering(offer.metering);
  wire.set_failure(wire::ClampText(offer.failure, limits::kMaxTextLength));
  return wire;
}

absl::StatusOr<StateReport> DecodeStateReport(const v1::ReportStateRequest& wire) {
  const Field at("device.ReportStateRequest");
  StateReport decoded;
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["generation"], wire.generation(), INT64_MAX));
  decoded.generation = wire.generation();
  MUSTER_RETURN_IF_ERROR(
      wire::CheckCount(at["models"], wire.models_size(), limits::kMaxModelsPerDevice));
  std::set<ModelName> seen;
  for (int i = 0; i < wire.models_size(); ++i) {
    const Field model = at.At("models", i);
    MUSTER_ASSIGN_OR_RETURN(ModelStatus status, wire::Decode(model, wire.models(i)));
    if (!seen.insert(status.name).second) {
      return wire::Refuse(model["name"], StrCat("'", status.name.value(), "' comes twice"));
    }
    decoded.models.push_back(std::move(status));
  }
  MUSTER_ASSIGN_OR_RETURN(decoded.metering, wire::DecodeMetering(at["metering"], wire.metering()));
  if (absl::Status status = ValidateId("report id", wire.report_id()); !status.ok()) {
    return wire::Refuse(at["report_id"], status);
  }
  decoded.report_id = wire.report_id();
  return decoded;
}

v1::ReportStateRequest EncodeStateReport(const StateReport& report) {
  v1::ReportStateRequest wire;
  wire.set_generation(report.generation);
  for (const ModelStatus& status : report.models) *wire.add_models() = EncodeModelStatus(status);
  *wire.mutable_metering() = EncodeMetering(report.metering);
  wire.set_report_id(report.report_id);
  return wire;
}

absl::StatusOr<Eligibility> DecodeEligibility(const v1::Eligibility& wire) {
  return wire::Decode(Field("device.Eligibility"), wire);
}

v1::Eligibility EncodeEligibility(const Eligibility& eligibility) {
  v1::Eligibility wire;
  wire.set_idle(eligibility.idle);
  wire.set_charging(eligibility.charging);
  wire.set_unmetered(eligibility.unmetered);
  wire.set_custom(eligibility.custom);
  wire.set_has_data(eligibility.has_data);
  wire.set_train_examples(eligibility.train_examples);
  return wire;
}

absl::StatusOr<Metering> DecodeMetering(const v1::Metering& wire) {
  return wire::DecodeMetering(Field("device.Metering"), wire);
}

v1::Metering EncodeMetering(const Metering& metering) {
  v1::Metering wire;
  wire.set_wall_us(static_cast<uint64_t>(metering.wall.count()));
  wire.set_cpu_us(static_cast<uint64_t>(metering.cpu.count()));
  wire.set_peak_memory_bytes(metering.peak_memory_bytes);
  wire.set_bytes_down(metering.bytes_down);
  wire.set_bytes_up(metering.bytes_up);
  wire.set_cold_start(metering.cold_start);
  return wire;
}

absl::StatusOr<ModelStatus> DecodeModelStatus(const v1::ModelStatus& wire) {
  return wire::Decode(Field("device.ModelStatus"), wire);
}

v1::ModelStatus EncodeModelStatus(const ModelStatus& status) {
  v1::ModelStatus wire;
  wire.set_name(status.name.value());
  wire.set_version(status.version);
  wire.set_phase(wire::EncodeEnum(wire::kModelPhases, status.phase));
  wire.set_reason(wire::ClampText(status.reason, limits::kMaxTextLength));
  wire.set_serving_version(status.serving_version);
  wire.set_serving_personalized(status.serving_personalized);
  wire::EncodeMetrics(status.metrics, wire.mutable_metrics());
  return wire;
}

}  // namespace muster
