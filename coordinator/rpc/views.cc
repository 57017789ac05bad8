#include "coordinator/rpc/views.h"

#include <algorithm>
#include <utility>

#include "coordinator/drive/budget.h"
#include "proto/codec/device_codec.h"
#include "proto/codec/field.h"
#include "proto/codec/job_codec.h"
#include "proto/codec/model_codec.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

v1::JobPhase PhaseOf(const JobState& state) {
  static constexpr v1::JobPhase kPhases[] = {v1::JOB_PHASE_RUNNING, v1::JOB_PHASE_FINISHING,
                                             v1::JOB_PHASE_SUCCEEDED, v1::JOB_PHASE_FAILED,
                                             v1::JOB_PHASE_CANCELLED};
  return kPhases[state.index()];
}

v1::PromotionPhase PhaseOf(PromotionPhase phase) {
  switch (phase) {
    case PromotionPhase::kRollingOut:
      return v1::PROMOTION_PHASE_ROLLING_OUT;
    case PromotionPhase::kLive:
      return v1::PROMOTION_PHASE_LIVE;
    case PromotionPhase::kRolledBack:
      return v1::PROMOTION_PHASE_ROLLED_BACK;
    case PromotionPhase::kSuperseded:
      return v1::PROMOTION_PHASE_SUPERSEDED;
  }
  return v1::PROMOTION_PHASE_UNSPECIFIED;
}

// From the spec as the codec writes it, so that the two cannot differ.
void FillAggregation(const JobRecord& record, v1::Job& view) {
  v1::JobSpec spec = EncodeJobSpec(record.spec);
  view.set_aggregation(DescribeAggregation(record.spec));
  *view.mutable_secure_aggregation() = std::move(*spec.mutable_aggregation());
  if (record.spec.privacy.kind == PrivacyKind::kNone) return;
  v1::JobPrivacy& privacy = *view.mutable_privacy();
  privacy.set_kind(spec.privacy().kind());
  privacy.set_epsilon(EpsilonAfter(record.spec, record.releases));
  privacy.set_delta(spec.privacy().delta());
  privacy.set_epsilon_budget(spec.privacy().epsilon_budget());
  privacy.set_noise_multiplier(spec.privacy().noise_multiplier());
  privacy.set_clip(record.clip > 0 ? record.clip : record.spec.aggregation.clip);
}

template <typename State>
void FillCounts(const State& state, v1::RoundSummary& view) {
  view.set_invited(state.invited);
  view.set_reported(state.reported);
  view.set_failed(state.failed);
  view.set_opened_unix_us(state.opened.unix_us);
}

template <typename State>
void FillExchange(v1::RoundPhase phase, const State& state, v1::RoundSummary& view) {
  view.set_phase(phase);
  FillCounts(state, view);
  view.set_answered(state.answered);
}

void FillState(const RoundState& state, v1::RoundSummary& view) {
  if (const auto* s = std::get_if<Collecting>(&state)) {
    view.set_phase(v1::ROUND_PHASE_COLLECTING);
    FillCounts(*s, view);
    view.set_examples(s->examples);
  } else if (const auto* s = std::get_if<Sharing>(&state)) {
    FillExchange(v1::ROUND_PHASE_SHARING, *s, view);
  } else if (const auto* s = std::get_if<Masking>(&state)) {
    FillExchange(v1::ROUND_PHASE_MASKING, *s, view);
  } else if (const auto* s = std::get_if<Agreeing>(&state)) {
    FillExchange(v1::ROUND_PHASE_AGREEING, *s, view);
  } else if (const auto* s = std::get_if<Unmasking>(&state)) {
    FillExchange(v1::ROUND_PHASE_UNMASKING, *s, view);
  } else if (const auto* s = std::get_if<Aggregating>(&state)) {
    view.set_phase(v1::ROUND_PHASE_AGGREGATING);
    FillCounts(*s, view);
    view.set_examples(s->examples);
    view.set_closed_unix_us(s->closed.unix_us);
  } else if (const auto* s = std::get_if<Committed>(&state)) {
    view.set_phase(v1::ROUND_PHASE_COMMITTED);
    FillCounts(*s, view);
    view.set_examples(s->examples);
    view.set_closed_unix_us(s->closed.unix_us);
    view.set_model_version(s->model_version);
  } else {
    const auto& abandoned = std::get<Abandoned>(state);
    view.set_phase(v1::ROUND_PHASE_ABANDONED);
    FillCounts(abandoned, view);
    view.set_closed_unix_us(abandoned.closed.unix_us);
    view.set_reason(abandoned.reason);
  }
}

}  // namespace

v1::Job ViewJob(const JobRecord& record, const Digest& latest_weights) {
  v1::Job view;
  view.set_id(record.id.value());
  view.set_name(record.spec.name.value());
  view.set_phase(PhaseOf(record.state));
  view.set_rounds_total(record.spec.rounds);
  view.set_rounds_committed(record.rounds_committed);
  view.set_submitted_unix_us(record.submitted.unix_us);
  view.set_latest_version(LatestVersion(record.state));
  view.set_latest_weights(wire::EncodeDigest(latest_weights));
  FillAggregation(record, view);
  view.set_submitted_by(record.submitted_by);
  if (const auto* s = std::get_if<JobSucceeded>(&record.state)) {
    view.set_finished_unix_us(s->at.unix_us);
  } else if (const auto* s = std::get_if<JobFailed>(&record.state)) {
    view.set_finished_unix_us(s->at.unix_us);
    view.set_reason(s->reason);
  } else if (const auto* s = std::get_if<JobCancelled>(&record.state)) {
    view.set_finished_unix_us(s->at.unix_us);
    view.set_reason("cancelled by " + s->by);
  }
  return view;
}

v1::RoundSummary ViewRound(const RoundRecord& record) {
  v1::RoundSummary view;
  view.set_number(record.id.number);
  view.set_attempt(record.id.attempt);
  FillState(record.state, view);
  wire::EncodeMetrics(record.metrics, view.mutable_metrics());
  wire::EncodeMetrics(record.evaluation, view.mutable_evaluation());
  view.set_bytes_up(record.bytes_up);
  view.set_bytes_down(record.bytes_down);
  return view;
}

v1::Model ViewModel(const ModelRecord& record) {
  v1::Model view;
  view.set_name(record.id.name.value());
  view.set_version(record.id.version);
  view.set_package(wire::EncodeDigest(record.package));
  view.set_weights(wire::EncodeDigest(record.weights));
  view.set_weights_bytes(record.weights_bytes);
  *view.mutable_lineage() = EncodeLineage(record.lineage);
  wire::EncodeMetrics(record.evaluation, view.mutable_evaluation());
  return view;
}

v1::TokenInfo ViewToken(const TokenRecord& record) {
  v1::TokenInfo view;
  view.set_id(record.id.value());
  view.set_uses(record.uses);
  view.set_used(record.used);
  view.set_expires_unix_us(record.expires.unix_us);
  wire::EncodeLabels(record.labels, view.mutable_labels());
  view.set_revoked(record.revoked);
  return view;
}

v1::Device ViewDevice(const DeviceRecord& record) {
  v1::Device view;
  view.set_id(record.id.value());
  wire::EncodeLabels(record.labels, view.mutable_labels());
  view.set_revoked(record.revoked);
  view.set_enrolled_unix_us(record.enrolled.unix_us);
  view.set_last_seen_unix_us(record.last_seen.unix_us);
  view.set_certificate_expires_unix_us(record.certificate_expires.unix_us);
  view.set_agent_version(record.agent_version);
  *view.mutable_eligibility() = EncodeEligibility(record.eligibility);
  view.set_applied_generation(record.applied_generation);
  for (const ModelStatus& status : record.models) *view.add_models() = EncodeModelStatus(status);
  return view;
}

v1::UsageRow ViewUsage(const UsageRecord& record) {
  v1::UsageRow view;
  view.set_job(record.job);
  view.set_device(record.device.value());
  view.set_invocations(record.invocations);
  view.set_wall_us(record.wall_us);
  view.set_cpu_us(record.cpu_us);
  view.set_bytes_up(record.bytes_up);
  view.set_bytes_down(record.bytes_down);
  view.set_cold_starts(record.cold_starts);
  return view;
}

v1::AuditRow ViewAudit(const AuditRecord& record) {
  v1::AuditRow view;
  view.set_chain(record.chain);
  view.set_number(record.number);
  view.set_at_unix_us(record.at.unix_us);
  view.set_actor(record.actor);
  view.set_action(record.action);
  view.set_subject(record.subject);
  view.set_detail(record.detail);
  view.set_count(record.count);
  view.set_hash(std::string(record.hash.bytes()));
  return view;
}

v1::Promotion ViewPromotion(const PromotionView& promotion) {
  const PromotionRecord& record = promotion.record;
  v1::Promotion view;
  view.set_id(record.id.value());
  view.set_name(record.model.name.value());
  view.set_version(record.model.version);
  view.set_cohort(record.cohort.ToString());
  view.set_personalize(record.personalize);
  view.set_phase(PhaseOf(record.phase));
  view.set_created_unix_us(record.created.unix_us);
  view.set_previous_version(record.previous_version);
  view.set_devices_total(promotion.tally.total);
  view.set_devices_live(promotion.tally.live);
  view.set_devices_failed(promotion.tally.failed);
  view.set_devices_pending(promotion.tally.pending);
  for (const CoveredDevice& covered : promotion.devices) {
    v1::PromotionDevice* device = view.add_devices();
    device->set_device(covered.device.value());
    device->set_seen(covered.reported);
    if (covered.reported) *device->mutable_status() = EncodeModelStatus(covered.status);
  }
  return view;
}

absl::StatusOr<v1::Job> SummarizeJob(const StoreReader& reader, const JobRecord& record) {
  Digest weights;
  if (const uint32_t version = LatestVersion(record.state); version > 0) {
    const auto model = reader.FindModel({record.spec.name, version});
    // An old version may be gone while its job is still listed.
    if (!model.ok() && !absl::IsNotFound(model.status())) return model.status();
    if (model.ok()) weights = model->weights;
  }
  return ViewJob(record, weights);
}

absl::StatusOr<v1::GetJobResponse> DescribeJob(const StoreReader& reader, const JobId& id,
                                               uint32_t from_round) {
  MUSTER_ASSIGN_OR_RETURN(const JobRecord record, reader.FindJob(id));
  v1::GetJobResponse response;
  MUSTER_ASSIGN_OR_RETURN(*response.mutable_job(), SummarizeJob(reader, record));
  *response.mutable_spec() = EncodeJobSpec(record.spec);
  MUSTER_ASSIGN_OR_RETURN(auto rounds,
                          reader.ListRounds(id, std::max(from_round, 1u), limits::kMaxPageSize));
  for (const RoundRecord& round : rounds) {
    v1::RoundSummary view = ViewRound(round);
    if (std::holds_alternative<Collecting>(round.state)) {
      MUSTER_ASSIGN_OR_RETURN(auto invocations,
                              reader.ListInvocations(round.id, FunctionKind::kTrain));
      view.set_refused(static_cast<uint32_t>(std::count_if(
          invocations.begin(), invocations.end(),
          [](const InvocationRecord& i) { return i.status == InvocationStatus::kRefused; })));
    }
    *response.add_rounds() = std::move(view);
  }
  return response;
}

}  // namespace muster
