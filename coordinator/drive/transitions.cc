#include "coordinator/drive/transitions.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "coordinator/drive/budget.h"
#include "coordinator/drive/secagg_session.h"
#include "coordinator/round/selection.h"
#include "proto/core/digest.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using MaybeIgnored = absl::StatusOr<std::optional<Ignored>>;

// Invitations that were not answered in time are void, so that check-ins stop handing them out.
absl::Status ExpireOpenInvocations(StoreTx& tx, const RoundId& round, Timestamp now,
                                   std::string_view reason) {
  MUSTER_ASSIGN_OR_RETURN(auto invocations, tx.ListInvocations(round, FunctionKind::kTrain));
  for (InvocationRecord& invocation : invocations) {
    if (invocation.status != InvocationStatus::kOpen) continue;
    invocation.status = InvocationStatus::kExpired;
    invocation.reason = std::string(reason);
    invocation.finished = now;
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
  }
  return absl::OkStatus();
}

// Whoever has not advertised when the roster freezes is too late.
absl::Status ExpireUnadvertised(StoreTx& tx, const RoundId& round, Timestamp now) {
  MUSTER_ASSIGN_OR_RETURN(const auto senders, tx.ListSecAggSenders(round, SecAggStep::kAdvert));
  const std::set<DeviceId> members(senders.begin(), senders.end());
  MUSTER_ASSIGN_OR_RETURN(auto invocations, tx.ListInvocations(round, FunctionKind::kTrain));
  for (InvocationRecord& invocation : invocations) {
    if (invocation.status != InvocationStatus::kOpen) continue;
    if (members.contains(invocation.device)) continue;
    invocation.status = InvocationStatus::kExpired;
    invocation.reason = "late: the roster is closed";
    invocation.finished = now;
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
  }
  return absl::OkStatus();
}

// A set that cannot be frozen safely ends the round, in the same transaction.
absl::Status Freeze(StoreTx& tx, AfterCommit& after, RoundRecord& round,
                    absl::Status (*freeze)(StoreTx&, const RoundId&), Timestamp now,
                    const DriveOptions& options) {
  const absl::Status frozen = freeze(tx, round.id);
  if (!absl::IsFailedPrecondition(frozen) && !absl::IsInvalidArgument(frozen)) return frozen;
  return ApplyToRound(tx, after, round, RoundCancelled{std::string(frozen.message())}, now, options)
      .status();
}

// The sum can be opened from now on: the privacy budget counts it, whatever becomes of the round.
absl::Status CountRelease(StoreTx& tx, const JobId& id) {
  MUSTER_ASSIGN_OR_RETURN(JobRecord job, tx.FindJob(id));
  ++job.releases;
  return tx.PutJob(job);
}

absl::Status CarryOut(StoreTx& tx, AfterCommit& after, RoundRecord& round,
                      const RoundEffect& effect, Timestamp now, const DriveOptions& options) {
  if (std::holds_alternative<FreezeRoster>(effect)) {
    MUSTER_RETURN_IF_ERROR(ExpireUnadvertised(tx, round.id, now));
    return Freeze(tx, after, round, FreezeRosterInStore, now, options);
  }
  if (std::holds_alternative<FreezeSharers>(effect)) {
    return Freeze(tx, after, round, FreezeSharersInStore, now, options);
  }
  if (std::holds_alternative<FreezeSurvivors>(effect)) {
    return Freeze(tx, after, round, FreezeSurvivorsInStore, now, options);
  }
  if (std::holds_alternative<CloseSum>(effect)) {
    const bool secure = round.policy.aggregation != AggregationMode::kClear;
    if (secure) MUSTER_RETURN_IF_ERROR(CountRelease(tx, round.id.job));
    MUSTER_RETURN_IF_ERROR(
        ExpireOpenInvocations(tx, round.id, now,
                              secure ? "the device dropped out before its vector was in the sum"
                                     : "late: the round closed"));
    after.Wake(kTasksKey);
    return tx.AddTask({.key = RoundTaskKey(kCloseSumTask, round.id),
                       .kind = TaskKind::kCloseSum,
                       .round = round.id,
                       .due = now});
  }
  if (const auto* committed = std::get_if<TellRoundCommitted>(&effect)) {
    MUSTER_ASSIGN_OR_RETURN(JobRecord job, tx.FindJob(round.id.job));
    ++job.rounds_committed;
    MUSTER_RETURN_IF_ERROR(tx.PutJob(job));
    return ApplyToJob(tx, after, round.id.job,
                      RoundWasCommitted{round.id.number, round.id.attempt, committed->version,
                                        IsBudgetSpent(job)},
                      now, options)
        .status();
  }
  const auto& abandoned = std::get<TellRoundAbandoned>(effect);
  MUSTER_RETURN_IF_ERROR(tx.DeleteTask(RoundTaskKey(kCloseSumTask, round.id)));
  MUSTER_RETURN_IF_ERROR(ExpireOpenInvocations(
      tx, round.id, now, StrCat("the round was abandoned: ", abandoned.reason)));
  MUSTER_RETURN_IF_ERROR(tx.DeleteSecAggMessages(round.id));
  MUSTER_RETURN_IF_ERROR(tx.DeletePartialSums(round.id));
  MUSTER_ASSIGN_OR_RETURN(const JobRecord job, tx.FindJob(round.id.job));
  return ApplyToJob(tx, after, round.id.job,
                    RoundWasAbandoned{round.id.number, round.id.attempt, abandoned.reason,
                                      IsBudgetSpent(job)},
                    now, options)
      .status();
}

// The timer of the phase that is open, in place of the one before.
absl::Status SetDeadline(StoreTx& tx, AfterCommit& after, const RoundRecord& round) {
  const std::string key = RoundTaskKey(kRoundDeadlineTask, round.id);
  MUSTER_RETURN_IF_ERROR(tx.DeleteTask(key));
  const std::optional<Timestamp> closes = ClosesAt(round.state);
  if (!closes) return absl::OkStatus();
  after.Wake(kTasksKey);
  return tx.AddTask(
      {.key = key, .kind = TaskKind::kRoundDeadline, .round = round.id, .due = *closes});
}

absl::Status CarryOut(StoreTx& tx, AfterCommit& after, const JobRecord& job,
                      const JobEffect& effect, Timestamp now, const DriveOptions& options) {
  if (const auto* open = std::get_if<OpenNextRound>(&effect)) {
    return OpenRoundInStore(tx, after, job, *open, now, options);
  }
  if (const auto* evaluate = std::get_if<RequestEvaluation>(&effect)) {
    const RoundId round{job.id, evaluate->round, 1};
    after.Wake(kTasksKey);
    MUSTER_RETURN_IF_ERROR(tx.AddTask({.key = RoundTaskKey(kEvaluationDeadlineTask, round),
                                       .kind = TaskKind::kEvaluationDeadline,
                                       .round = round,
                                       .model_version = evaluate->version,
                                       .due = now + job.spec.evaluation.deadline}));
    return tx.AddTask({.key = RoundTaskKey(kRequestEvaluationTask, round),
                       .kind = TaskKind::kRequestEvaluation,
                       .round = round,
                       .model_version = evaluate->version,
                       .due = now});
  }
  const auto& cancel = std::get<CancelOpenRound>(effect);
  auto round = tx.FindRound({job.id, cancel.round, cancel.attempt});
  if (absl::IsNotFound(round.status())) return absl::OkStatus();
  MUSTER_RETURN_IF_ERROR(round.status());
  return ApplyToRound(tx, after, *round, RoundCancelled{cancel.reason}, now, options).status();
}

absl::StatusOr<std::vector<DeviceRecord>> PresentDevices(const StoreReader& tx, const JobSpec& spec,
                                                         Timestamp now,
                                                         const DriveOptions& options) {
  std::vector<DeviceRecord> present;
  MUSTER_RETURN_IF_ERROR(tx.VisitDevicesSeen(now - options.presence, [&](DeviceRecord&& device) {
    if (Participates(spec, device) && IsReady(device.eligibility)) {
      present.push_back(std::move(device));
    }
    return absl::OkStatus();
  }));
  // By id: which of them are picked must not depend on how the store lists them.
  std::sort(present.begin(), present.end(),
            [](const DeviceRecord& a, const DeviceRecord& b) { return a.id < b.id; });
  return present;
}

}  // namespace

absl::StatusOr<std::optional<Ignored>> ApplyToRound(StoreTx& tx, AfterCommit& after,
                                                    RoundRecord& round, const RoundEvent& event,
                                                    Timestamp now, const DriveOptions& options) {
  RoundOutcome outcome = Step(round.policy, round.state, event, now);
  if (auto* ignored = std::get_if<Ignored>(&outcome)) return std::optional(std::move(*ignored));
  auto& transition = std::get<RoundTransition>(outcome);
  const std::optional<Timestamp> closed_before = ClosesAt(round.state);
  if (transition.next.index() != round.state.index()) after.Wake(PhaseKey(round.id));
  round.state = std::move(transition.next);
  MUSTER_RETURN_IF_ERROR(tx.PutRound(round));
  ++round.row_version;
  if (ClosesAt(round.state) != closed_before) {
    MUSTER_RETURN_IF_ERROR(SetDeadline(tx, after, round));
  }
  after.Wake(JobKey(round.id.job));
  for (const RoundEffect& effect : transition.effects) {
    MUSTER_RETURN_IF_ERROR(CarryOut(tx, after, round, effect, now, options));
  }
  return std::optional<Ignored>();
}

absl::StatusOr<std::optional<Ignored>> ApplyToJob(StoreTx& tx, AfterCommit& after, const JobId& id,
                                                  const JobEvent& event, Timestamp now,
                                                  const DriveOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(JobRecord job, tx.FindJob(id));
  JobOutcome outcome = Step(job.spec, job.state, event, now);
  if (auto* ignored = std::get_if<Ignored>(&outcome)) return std::optional(std::move(*ignored));
  auto& transition = std::get<JobTransition>(outcome);
  job.state = std::move(transition.next);
  MUSTER_RETURN_IF_ERROR(tx.PutJob(job));
  ++job.row_version;
  after.Wake(JobKey(id));
  for (const JobEffect& effect : transition.effects) {
    MUSTER_RETURN_IF_ERROR(CarryOut(tx, after, job, effect, now, options));
  }
  return std::optional<Ignored>();
}

absl::Status OpenRoundInStore(StoreTx& tx, AfterCommit& after, const JobRecord& job,
                              const OpenNextRound& effect, Timestamp now,
                              const DriveOptions& options) {
  RoundRecord round{.id = {job.id, effect.round, effect.attempt},
                    .policy = PolicyOf(job.spec.round, job.spec.aggregation),
                    .base_package = job.initial_package,
                    .base_weights = job.spec.initial_weights};
  if (effect.base_version > 0) {
    MUSTER_ASSIGN_OR_RETURN(ModelRecord base, tx.FindModel({job.spec.name, effect.base_version}));
    round.base_package = base.package;
    round.base_weights = base.weights;
    round.optimizer_state = base.optimizer_state;
  }
  const Collecting opened = OpenRound(round.policy, now);
  round.state = opened;
  MUSTER_RETURN_IF_ERROR(tx.PutRound(round));
  ++round.row_version;
  MUSTER_RETURN_IF_ERROR(SetDeadline(tx, after, round));
  after.Wake(JobKey(job.id));

  MUSTER_ASSIGN_OR_RETURN(auto present, PresentDevices(tx, job.spec, now, options));
  std::vector<DeviceId> candidates;
  for (const DeviceRecord& device : present) candidates.push_back(device.id);
  const auto cohort = SelectCohort(job.spec.seed, round.id.number, round.id.attempt, candidates,
                                   round.policy.invite_target);
  for (const DeviceRecord& device : present) {
    if (!std::binary_search(cohort.begin(), cohort.end(), device.id)) continue;
    MUSTER_RETURN_IF_ERROR(Invite(tx, after, job, round, device, now, options).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::variant<InvocationRecord, Ignored>> Invite(
    StoreTx& tx, AfterCommit& after, const JobRecord& job, RoundRecord& round,
    const DeviceRecord& device, Timestamp now, const DriveOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(auto ignored,
                          ApplyToRound(tx, after, round, DeviceInvited{device.id}, now, options));
  if (ignored) return *ignored;
  const auto& collecting = std::get<Collecting>(round.state);
  InvocationRecord invocation{
      .id = InvocationIdFor(round.id, FunctionKind::kTrain, device.id),
      .device = device.id,
      .function = FunctionKind::kTrain,
      .round = round.id,
      .package = round.base_package,
      .seed = FunctionSeed(job.spec.seed, round.id.number, device.id),
      .created = now,
      .deadline = LastAnswerDue(round.policy, collecting),
  };
  invocation.traceparent = TraceparentFor(invocation.round.job, invocation.id);
  MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
  ++invocation.row_version;
  after.Wake(DeviceKey(device.id));
  return invocation;
}

bool Participates(const JobSpec& spec, const DeviceRecord& device) {
  return !device.revoked && spec.cohort.Matches(device.labels);
}

bool IsReady(const Eligibility& e) {
  return e.idle && e.charging && e.unmetered && e.custom && e.has_data;
}

InvocationId InvocationIdFor(const RoundId& round, FunctionKind function, const DeviceId& device) {
  const std::string name =
      StrCat(round.ToString(), "/", FunctionName(function), "/", device.value());
  constexpr size_t kHexDigits = 32;
  return InvocationId::Trusted("i-" + Sha256(name).hex().substr(0, kHexDigits));
}

std::string TraceparentFor(const JobId& job, const InvocationId& invocation) {
  constexpr size_t kTraceHexDigits = 32, kSpanHexDigits = 16;
  return StrCat("00-", Sha256("trace/" + job.value()).hex().substr(0, kTraceHexDigits), "-",
                Sha256("span/" + invocation.value()).hex().substr(0, kSpanHexDigits), "-01");
}

std::string RoundTaskKey(std::string_view prefix, const RoundId& round) {
  return StrCat(prefix, "/", round.ToString());
}

}  // namespace muster
