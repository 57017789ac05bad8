#include "coordinator/upkeep/retention.h"

#include <algorithm>
#include <map>
#include <variant>

#include "coordinator/drive/audit.h"
#include "coordinator/drive/transitions.h"
#include "coordinator/upkeep/references.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

struct Uses {
  std::set<ModelVersion> promoted;
  std::map<JobId, uint32_t> open_jobs;  // with their newest version
};

Timestamp EndedAt(const JobState& state) {
  if (const auto* done = std::get_if<JobSucceeded>(&state)) return done->at;
  if (const auto* failed = std::get_if<JobFailed>(&state)) return failed->at;
  if (const auto* cancelled = std::get_if<JobCancelled>(&state)) return cancelled->at;
  return {};
}

absl::StatusOr<bool> EvaluationIsOut(const StoreReader& reader, const Lineage& lineage) {
  const RoundId round{lineage.job, lineage.round, 1};
  for (const char* prefix : {kRequestEvaluationTask, kEvaluationDeadlineTask}) {
    const auto task = reader.FindTask(RoundTaskKey(prefix, round));
    if (task.ok()) return true;
    if (!absl::IsNotFound(task.status())) return task.status();
  }
  return false;
}

absl::StatusOr<bool> NeededByJob(const StoreReader& reader, const Uses& uses,
                                 const ModelRecord& model) {
  const auto job = uses.open_jobs.find(model.lineage.job);
  if (job == uses.open_jobs.end()) return false;
  if (model.id.version >= job->second) return true;
  return EvaluationIsOut(reader, model.lineage);
}

absl::Status PlanModels(const StoreReader& reader, const GarbagePolicy& policy, const Uses& uses,
                        RetentionPlan& plan) {
  ModelName name;
  uint32_t rank = 0;  // 0: the newest of its name
  return ForEachModel(reader, [&](const ModelRecord& model) -> absl::Status {
    rank = model.id.name == name ? rank + 1 : 0;
    name = model.id.name;
    MUSTER_ASSIGN_OR_RETURN(const bool needed, NeededByJob(reader, uses, model));
    const bool newest = policy.keep_versions == 0 || rank < policy.keep_versions;
    if (!newest && !needed && !uses.promoted.contains(model.id)) {
      plan.gone.insert(model.id);
    } else if (rank > 0 && !needed && !model.optimizer_state.empty()) {
      plan.stateless.insert(model.id);
    }
    return absl::OkStatus();
  });
}

// The last row that is older than `before`, or the anchor.
absl::StatusOr<uint64_t> LastBefore(const StoreReader& reader, const AuditChain& chain,
                                    Timestamp before) {
  uint64_t last = chain.anchor_number;
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(const auto rows,
                            reader.ReadAuditChain(chain.chain, last, limits::kMaxPageSize));
    for (const AuditRecord& row : rows) {
      if (row.at >= before) return last;
      last = row.number;
    }
    if (rows.size() < limits::kMaxPageSize) return last;
  }
}

absl::Status PlanAudit(const StoreReader& reader, const GarbagePolicy& policy, Timestamp now,
                       RetentionPlan& plan) {
  MUSTER_ASSIGN_OR_RETURN(const auto chains, reader.ListAuditChains());
  for (const AuditChain& chain : chains) {
    uint64_t through = chain.anchor_number;
    if (chain.chain.ends_with(kRefusalsSuffix)) {
      if (chain.last_number > policy.keep_refusals) {
        through = std::max(through, chain.last_number - policy.keep_refusals);
      }
    } else if (policy.keep_changes > Duration::zero()) {
      MUSTER_ASSIGN_OR_RETURN(through, LastBefore(reader, chain, now - policy.keep_changes));
    }
    if (through == chain.anchor_number) continue;
    plan.audit.emplace_back(chain.chain, through);
    plan.audit_rows += through - chain.anchor_number;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RetentionPlan> PlanRetention(const StoreReader& reader, const GarbagePolicy& policy,
                                            Timestamp now) {
  RetentionPlan plan;
  Uses uses;
  MUSTER_RETURN_IF_ERROR(ForEachJob(reader, [&](const JobRecord& job) {
    if (!IsTerminal(job.state)) {
      uses.open_jobs.emplace(job.id, LatestVersion(job.state));
    } else if (policy.keep_history > Duration::zero() &&
               EndedAt(job.state) + policy.keep_history < now) {
      plan.old_jobs.push_back(job.id);
    }
    return absl::OkStatus();
  }));
  MUSTER_ASSIGN_OR_RETURN(const auto promotions, reader.ListPromotions(""));
  for (const PromotionRecord& promotion : promotions) {
    if (promotion.phase != PromotionPhase::kRolledBack) uses.promoted.insert(promotion.model);
  }
  MUSTER_RETURN_IF_ERROR(PlanModels(reader, policy, uses, plan));
  MUSTER_RETURN_IF_ERROR(PlanAudit(reader, policy, now, plan));
  return plan;
}

}  // namespace muster
