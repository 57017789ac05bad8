#include "coordinator/drive/evaluation.h"

#include <optional>
#include <utility>

#include "coordinator/drive/transitions.h"
#include "coordinator/round/selection.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

absl::StatusOr<std::optional<DeviceRecord>> FindEvaluator(const StoreReader& reader,
                                                          const Selector& selector, Timestamp now,
                                                          Duration presence) {
  std::optional<DeviceRecord> best;
  // The one seen last; of several, the first by id.
  const auto better = [&](const DeviceRecord& device) {
    if (!best || best->last_seen != device.last_seen) {
      return !best || best->last_seen < device.last_seen;
    }
    return device.id < best->id;
  };
  MUSTER_RETURN_IF_ERROR(reader.VisitDevicesSeen(now - presence, [&](DeviceRecord&& device) {
    const bool fits = !device.revoked && selector.Matches(device.labels);
    if (fits && device.eligibility.has_data && better(device)) best = std::move(device);
    return absl::OkStatus();
  }));
  return best;
}

// The attempt of round `number` that was committed.
absl::StatusOr<RoundRecord> FindCommitted(const StoreReader& reader, const RoundId& id) {
  MUSTER_ASSIGN_OR_RETURN(auto rounds,
                          reader.ListRounds(id.job, id.number, limits::kMaxRoundAttempts));
  for (RoundRecord& round : rounds) {
    if (round.id.number == id.number && std::holds_alternative<Committed>(round.state)) {
      return std::move(round);
    }
  }
  return absl::NotFoundError("round " + id.ToString() + " was not committed");
}

}  // namespace

absl::StatusOr<bool> AssignEvaluation(StoreTx& tx, AfterCommit& after, const TaskRecord& task,
                                      Timestamp now, const DriveOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(const JobRecord job, tx.FindJob(task.round.job));
  MUSTER_ASSIGN_OR_RETURN(auto evaluator,
                          FindEvaluator(tx, job.spec.evaluation.evaluator, now, options.presence));
  if (!evaluator) return false;
  MUSTER_ASSIGN_OR_RETURN(const RoundRecord round, FindCommitted(tx, task.round));
  MUSTER_ASSIGN_OR_RETURN(const ModelRecord model,
                          tx.FindModel({job.spec.name, task.model_version}));
  InvocationRecord invocation{
      .id = InvocationIdFor(round.id, FunctionKind::kEvaluate, evaluator->id),
      .device = evaluator->id,
      .function = FunctionKind::kEvaluate,
      .round = round.id,
      .package = model.package,
      .seed = FunctionSeed(job.spec.seed, round.id.number, evaluator->id),
      .created = now,
      .deadline = now + job.spec.evaluation.deadline,
  };
  invocation.traceparent = TraceparentFor(invocation.round.job, invocation.id);
  absl::Status put = tx.PutInvocation(invocation);
  if (!put.ok() && !absl::IsAlreadyExists(put)) return put;
  after.Wake(DeviceKey(evaluator->id));
  return true;
}

absl::Status EndEvaluation(StoreTx& tx, AfterCommit& after, RoundRecord round,
                           const Metrics& metrics, Timestamp now, const DriveOptions& options) {
  const RoundId any_attempt{round.id.job, round.id.number, 1};
  MUSTER_RETURN_IF_ERROR(tx.DeleteTask(RoundTaskKey(kRequestEvaluationTask, any_attempt)));
  MUSTER_RETURN_IF_ERROR(tx.DeleteTask(RoundTaskKey(kEvaluationDeadlineTask, any_attempt)));
  const auto* committed = std::get_if<Committed>(&round.state);
  if (committed == nullptr) return absl::OkStatus();
  const uint32_t version = committed->model_version;
  if (!metrics.empty()) {
    round.evaluation = metrics;
    MUSTER_RETURN_IF_ERROR(tx.PutRound(round));
    MUSTER_ASSIGN_OR_RETURN(const JobRecord job, tx.FindJob(round.id.job));
    MUSTER_ASSIGN_OR_RETURN(ModelRecord model, tx.FindModel({job.spec.name, version}));
    model.evaluation = metrics;
    MUSTER_RETURN_IF_ERROR(tx.PutModel(model));
  }
  after.Wake(JobKey(round.id.job));
  return ApplyToJob(tx, after, round.id.job, EvaluationEnded{version}, now, options).status();
}

}  // namespace muster
