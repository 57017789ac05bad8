#include "coordinator/drive/dispatch.h"

#include <algorithm>
#include <set>

#include "coordinator/drive/fleet.h"
#include "coordinator/drive/transitions.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

// A round that this device could still join: collecting, a place free, its labels match, and it was
// not invited before.
absl::StatusOr<bool> CanJoin(const StoreReader& reader, const RoundRecord& round,
                             const JobSpec& spec, const DeviceRecord& device, Timestamp now) {
  if (WhyNotInvite(round.policy, round.state, now)) return false;
  if (!Participates(spec, device)) return false;
  auto existing = reader.FindInvocation(InvocationIdFor(round.id, FunctionKind::kTrain, device.id));
  if (existing.ok()) return false;
  if (absl::IsNotFound(existing.status())) return true;
  return existing.status();
}

Invocation ToInvocation(const InvocationRecord& record) {
  return {.id = record.id,
          .function = record.function,
          .package = record.package,
          .job = record.round.job,
          .round = record.round.number,
          .attempt = record.round.attempt,
          .seed = record.seed,
          .deadline = record.deadline,
          .traceparent = record.traceparent};
}

// What to hand out of an open invocation; nothing if it is too late. Once the roster of a secure
// round is frozen its members go on by themselves, with what they stored.
std::optional<Invocation> HandOut(const StoreReader& reader, const InvocationRecord& record,
                                  Timestamp now) {
  if (now >= record.deadline) return std::nullopt;
  Invocation invocation = ToInvocation(record);
  if (record.function != FunctionKind::kTrain) return invocation;
  const auto round = reader.FindRound(record.round);
  if (!round.ok() || !std::holds_alternative<Collecting>(round->state)) return std::nullopt;
  invocation.secure = round->policy.aggregation != AggregationMode::kClear;
  return invocation;
}

}  // namespace

absl::StatusOr<CheckInAnswer> Dispatcher::CheckIn(const DeviceId& id,
                                                  const muster::CheckIn& check_in) {
  const Timestamp now = context_.clock.Now();
  bool write = false;
  CheckInAnswer answer;
  MUSTER_RETURN_IF_ERROR(context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const DeviceRecord device, FindInGoodStanding(reader, id));
    MUSTER_ASSIGN_OR_RETURN(const OpenRounds open, reader.ListOpenRounds());
    MUSTER_ASSIGN_OR_RETURN(write, MayNeedWrite(reader, device, check_in, open, now));
    if (write) return absl::OkStatus();
    MUSTER_ASSIGN_OR_RETURN(answer, Answer(reader, device, check_in, open, now));
    return absl::OkStatus();
  }));
  if (!write) {
    answer.next_check_in = NextCheckIn(check_in, answer.in_round, now);
    return answer;
  }

  MUSTER_RETURN_IF_ERROR(Transact(context_, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(DeviceRecord device, FindInGoodStanding(tx, id));
    device.last_seen = now;
    device.eligibility = check_in.eligibility;
    device.agent_version = check_in.agent_version;
    device.trust_generation = check_in.trust_generation;
    MUSTER_RETURN_IF_ERROR(tx.PutDevice(device));
    MUSTER_ASSIGN_OR_RETURN(OpenRounds open, tx.ListOpenRounds());
    if (IsReady(device.eligibility)) {
      MUSTER_RETURN_IF_ERROR(TakePart(tx, after, device, open, now));
    }
    MUSTER_ASSIGN_OR_RETURN(answer, Answer(tx, device, check_in, open, now));
    return absl::OkStatus();
  }));
  answer.next_check_in = NextCheckIn(check_in, answer.in_round, now);
  return answer;
}

absl::StatusOr<bool> Dispatcher::MayNeedWrite(const StoreReader& reader, const DeviceRecord& device,
                                              const muster::CheckIn& check_in,
                                              const OpenRounds& open, Timestamp now) const {
  if (device.last_seen + context_.options.touch_every <= now) return true;
  if (!(device.eligibility == check_in.eligibility)) return true;
  if (device.agent_version != check_in.agent_version) return true;
  if (device.trust_generation != check_in.trust_generation) return true;
  if (!IsReady(check_in.eligibility)) return false;
  for (const RoundRecord& round : open) {
    MUSTER_ASSIGN_OR_RETURN(const JobRecord job, reader.FindJob(round.id.job));
    MUSTER_ASSIGN_OR_RETURN(const bool joins, CanJoin(reader, round, job.spec, device, now));
    if (joins) return true;
  }
  return false;
}

absl::Status Dispatcher::TakePart(StoreTx& tx, AfterCommit& after, const DeviceRecord& device,
                                  OpenRounds& open, Timestamp now) {
  for (RoundRecord& round : open) {
    MUSTER_ASSIGN_OR_RETURN(const JobRecord job, tx.FindJob(round.id.job));
    MUSTER_ASSIGN_OR_RETURN(const bool joins, CanJoin(tx, round, job.spec, device, now));
    if (!joins) continue;
    MUSTER_RETURN_IF_ERROR(Invite(tx, after, job, round, device, now, context_.options).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<CheckInAnswer> Dispatcher::Answer(const StoreReader& reader,
                                                 const DeviceRecord& device,
                                                 const muster::CheckIn& check_in,
                                                 const OpenRounds& open, Timestamp now) const {
  CheckInAnswer answer;
  MUSTER_ASSIGN_OR_RETURN(auto invocations, reader.ListOpenInvocations(device.id));
  for (const InvocationRecord& record : invocations) {
    auto invocation = HandOut(reader, record, now);
    if (invocation) answer.invocations.push_back(*std::move(invocation));
  }
  // A device of an open round holds the line, so that the next phase or round finds it at once.
  for (const RoundRecord& round : open) {
    auto taking_part =
        reader.FindInvocation(InvocationIdFor(round.id, FunctionKind::kTrain, device.id));
    answer.in_round = answer.in_round || taking_part.ok();
  }
  MUSTER_ASSIGN_OR_RETURN(const uint64_t generation, reader.CurrentGeneration());
  if (generation != check_in.known_generation) {
    MUSTER_ASSIGN_OR_RETURN(answer.desired, DesiredFor(reader, device.labels));
  }
  // An agent that says 0 is from before there was more than one CA.
  const bool told = check_in.trust_generation >= context_.trust.generation;
  if (check_in.trust_generation > 0 && !told) answer.trust = context_.trust;
  return answer;
}

// A slot of its own for whoever will come back by the pace. Who may be held asks again and again
// within one call, and a device of an open round does not go by the pace.
Duration Dispatcher::NextCheckIn(const muster::CheckIn& check_in, bool in_round, Timestamp now) {
  std::lock_guard lock(pacer_mutex_);
  const bool by_pace = !in_round && check_in.wait <= Duration::zero();
  if (by_pace) return pacer_.Next(fleet_size_.load(), now);
  return EvenPace(pacer_.limits(), fleet_size_.load());
}

double Dispatcher::CheckInRate() const {
  std::lock_guard lock(pacer_mutex_);
  return pacer_.ArrivalRate(context_.clock.Now());
}

absl::StatusOr<DesiredState> DesiredFor(const StoreReader& reader, const Labels& labels) {
  DesiredState desired;
  MUSTER_ASSIGN_OR_RETURN(desired.generation, reader.CurrentGeneration());
  MUSTER_ASSIGN_OR_RETURN(auto promotions, reader.ListPromotions(""));  // newest first
  std::set<ModelName> decided;
  for (const PromotionRecord& promotion : promotions) {
    if (promotion.phase == PromotionPhase::kRolledBack) continue;
    if (!promotion.cohort.Matches(labels)) continue;
    if (!decided.insert(promotion.model.name).second) continue;
    desired.models.push_back({.name = promotion.model.name,
                              .version = promotion.model.version,
                              .package = promotion.package,
                              .personalize = promotion.personalize});
  }
  return desired;
}

}  // namespace muster
