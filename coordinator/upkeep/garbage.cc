#include "coordinator/upkeep/garbage.h"

#include <map>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "coordinator/drive/audit.h"
#include "coordinator/upkeep/references.h"
#include "coordinator/upkeep/retention.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kRowsAtOnce = 1000;  // in one transaction: others wait for no more than these

// What a version's row names, if it is among those that go.
std::vector<Digest> ReleasedBy(const RetentionPlan& plan, const ModelRecord& model) {
  if (plan.gone.contains(model.id)) {
    return {model.package, model.weights, model.module, model.manifest, model.optimizer_state};
  }
  if (plan.stateless.contains(model.id)) return {model.optimizer_state};
  return {};
}

// Everything that the plan lets go and nobody else refers to.
absl::StatusOr<std::set<Digest>> FindReleased(const StoreReader& reader, ReferenceFinder& finder,
                                              const RetentionPlan& plan) {
  std::set<Digest> released;
  if (plan.gone.empty() && plan.stateless.empty()) return released;
  MUSTER_ASSIGN_OR_RETURN(const auto kept, finder.Find(reader, plan.gone, plan.stateless));
  MUSTER_RETURN_IF_ERROR(ForEachModel(reader, [&](const ModelRecord& model) {
    for (const Digest& digest : ReleasedBy(plan, model)) {
      if (!digest.empty() && !kept.contains(digest)) released.insert(digest);
    }
    return absl::OkStatus();
  }));
  return released;
}

absl::Status CountHistory(const StoreReader& reader, const RetentionPlan& plan,
                          GarbageReport& report) {
  for (const JobId& job : plan.old_jobs) {
    MUSTER_ASSIGN_OR_RETURN(const auto usage, reader.ListUsage(job.value(), ""));
    report.usage += usage.size();
    MUSTER_ASSIGN_OR_RETURN(
        const auto rounds,
        reader.ListRounds(job, 1, size_t{limits::kMaxRounds} * limits::kMaxRoundAttempts));
    for (const RoundRecord& round : rounds) {
      for (const FunctionKind kind : {FunctionKind::kTrain, FunctionKind::kEvaluate}) {
        MUSTER_ASSIGN_OR_RETURN(const auto rows, reader.ListInvocations(round.id, kind));
        report.invocations += rows.size();
      }
    }
  }
  return absl::OkStatus();
}

void CountFiles(const std::filesystem::path& folder, Timestamp before, GarbageReport& report) {
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;
    if (!it->is_regular_file(gone)) continue;
    const auto touched = std::chrono::time_point_cast<Duration>(
        std::chrono::file_clock::to_sys(it->last_write_time(gone)));
    const uint64_t size = it->file_size(gone);
    if (gone || Timestamp{touched.time_since_epoch().count()} >= before) continue;
    ++report.uploads;
    report.upload_bytes += size;
  }
}

// Uploads that nobody touched since `before`: in the staging area, or in its folder where another
// process has it.
absl::Status CountUploads(const GarbageContext& context, Timestamp before, GarbageReport& report) {
  if (context.staging == nullptr) {
    CountFiles(context.staging_folder, before, report);
    return absl::OkStatus();
  }
  MUSTER_ASSIGN_OR_RETURN(const auto abandoned, context.staging->CountAbandoned(before));
  report.uploads = abandoned.count;
  report.upload_bytes = abandoned.bytes;
  return absl::OkStatus();
}

// Blobs that are old enough and that no row refers to. The snapshot is younger than the list: what
// is referred to later was written or touched within the grace period, and is judged by its age.
absl::StatusOr<std::vector<BlobInfo>> FindOrphans(const GarbageContext& context,
                                                  ReferenceFinder& finder, Timestamp before) {
  std::vector<BlobInfo> old;
  MUSTER_RETURN_IF_ERROR(context.blobs.List([&](const BlobInfo& blob) {
    if (blob.modified < before) old.push_back(blob);
    return absl::OkStatus();
  }));
  if (old.empty()) return old;
  MUSTER_RETURN_IF_ERROR(context.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const auto used, finder.Find(reader));
    std::erase_if(old, [&](const BlobInfo& blob) { return used.contains(blob.digest); });
    return absl::OkStatus();
  }));
  return old;
}

absl::Status CountReleased(const GarbageContext& context, const std::set<Digest>& released,
                           GarbageReport& report) {
  for (const Digest& digest : released) {
    const auto reader = context.blobs.Open(digest);
    if (absl::IsNotFound(reader.status())) continue;
    MUSTER_RETURN_IF_ERROR(reader.status());
    ++report.released_blobs;
    report.released_bytes += (*reader)->size();
  }
  return absl::OkStatus();
}

absl::Status GoOn(const GarbageContext& context) {
  if (!context.stop.stop_requested()) return absl::OkStatus();
  return absl::CancelledError("told to stop; the next run goes on");
}

struct Plan {
  RetentionPlan rows;
  std::set<Digest> released;
};

absl::StatusOr<Plan> MakePlan(const GarbageContext& context, ReferenceFinder& finder,
                              const GarbagePolicy& policy, Timestamp now) {
  Plan plan;
  MUSTER_RETURN_IF_ERROR(context.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(plan.rows, PlanRetention(reader, policy, now));
    MUSTER_ASSIGN_OR_RETURN(plan.released, FindReleased(reader, finder, plan.rows));
    return absl::OkStatus();
  }));
  return plan;
}

// In a transaction that plans again: what somebody began to use meanwhile stays.
absl::Status RemoveVersions(const GarbageContext& context, const GarbagePolicy& policy,
                            Timestamp now, const RetentionPlan& plan, GarbageReport& report) {
  if (plan.gone.empty() && plan.stateless.empty()) return absl::OkStatus();
  return context.store.Write([&](StoreTx& tx) -> absl::Status {
    report.versions = report.optimizer_states = 0;
    MUSTER_ASSIGN_OR_RETURN(const RetentionPlan still, PlanRetention(tx, policy, now));
    for (const ModelVersion& id : plan.gone) {
      if (!still.gone.contains(id)) continue;
      MUSTER_RETURN_IF_ERROR(tx.DeleteModel(id));
      ++report.versions;
    }
    for (const ModelVersion& id : plan.stateless) {
      if (!still.stateless.contains(id)) continue;
      MUSTER_ASSIGN_OR_RETURN(ModelRecord model, tx.FindModel(id));
      model.optimizer_state = {};
      MUSTER_RETURN_IF_ERROR(tx.PutModel(model));
      ++report.optimizer_states;
    }
    return absl::OkStatus();
  });
}

absl::Status RemoveHistory(const GarbageContext& context, const JobId& job, GarbageReport& report) {
  size_t removed = 0;
  do {
    MUSTER_RETURN_IF_ERROR(context.store.Write([&](StoreTx& tx) -> absl::Status {
      MUSTER_ASSIGN_OR_RETURN(removed, tx.DeleteInvocations(job, kRowsAtOnce));
      return absl::OkStatus();
    }));
    report.invocations += removed;
  } while (removed == kRowsAtOnce);
  MUSTER_RETURN_IF_ERROR(context.store.Write([&](StoreTx& tx) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(removed, tx.DeleteUsage(job.value()));
    return absl::OkStatus();
  }));
  report.usage += removed;
  return absl::OkStatus();
}

absl::Status RemoveAudit(const GarbageContext& context, const RetentionPlan& plan,
                         GarbageReport& report) {
  for (const auto& [chain, through] : plan.audit) {
    MUSTER_RETURN_IF_ERROR(
        context.store.Write([&](StoreTx& tx) { return tx.PruneAudit(chain, through); }));
  }
  report.audit = plan.audit_rows;
  return absl::OkStatus();
}

absl::Status RemoveBlobs(const GarbageContext& context, const std::vector<BlobInfo>& orphans,
                         Timestamp before, GarbageReport& report) {
  for (const BlobInfo& blob : orphans) {
    MUSTER_RETURN_IF_ERROR(GoOn(context));
    MUSTER_ASSIGN_OR_RETURN(const bool removed, context.blobs.DeleteIfOlder(blob.digest, before));
    if (!removed) continue;
    ++report.blobs;
    report.blob_bytes += blob.size;
  }
  return absl::OkStatus();
}

absl::Status Record(const GarbageContext& context, const GarbageReport& report, Timestamp now) {
  if (report == GarbageReport{}) return absl::OkStatus();
  AuditRecord row{.chain = StrCat(context.audit_writer, kChangesSuffix),
                  .at = now,
                  .actor = context.actor,
                  .action = audit::kGarbageCollect};
  row.detail =
      StrCat("versions=", report.versions, " optimizer_states=", report.optimizer_states,
             " invocations=", report.invocations, " usage=", report.usage, " audit=", report.audit,
             " uploads=", report.uploads, " blobs=", report.blobs, " bytes=", report.blob_bytes);
  return context.store.Write([&](StoreTx& tx) { return tx.AppendAudit(row); });
}

}  // namespace

absl::Status CheckPolicy(const GarbagePolicy& policy) {
  if (policy.grace >= kMinGrace) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "the grace period must be at least 10 minutes: blobs are written before the commit that"
      " refers to them");
}

absl::StatusOr<GarbageReport> FindGarbage(const GarbageContext& context,
                                          const GarbagePolicy& policy, Timestamp now) {
  MUSTER_RETURN_IF_ERROR(CheckPolicy(policy));
  ReferenceFinder finder(context.blobs, context.verifier);
  MUSTER_ASSIGN_OR_RETURN(const Plan plan, MakePlan(context, finder, policy, now));
  MUSTER_ASSIGN_OR_RETURN(const auto orphans, FindOrphans(context, finder, now - policy.grace));
  GarbageReport report{.versions = plan.rows.gone.size(),
                       .optimizer_states = plan.rows.stateless.size(),
                       .audit = plan.rows.audit_rows};
  MUSTER_RETURN_IF_ERROR(CountReleased(context, plan.released, report));
  MUSTER_RETURN_IF_ERROR(context.store.Read(
      [&](const StoreReader& reader) { return CountHistory(reader, plan.rows, report); }));
  MUSTER_RETURN_IF_ERROR(CountUploads(context, now - policy.keep_uploads, report));
  for (const BlobInfo& blob : orphans) {
    ++report.blobs;
    report.blob_bytes += blob.size;
  }
  return report;
}

absl::StatusOr<GarbageReport> CollectGarbage(const GarbageContext& context,
                                             const GarbagePolicy& policy, Timestamp now) {
  MUSTER_RETURN_IF_ERROR(CheckPolicy(policy));
  ReferenceFinder finder(context.blobs, context.verifier);
  MUSTER_ASSIGN_OR_RETURN(const Plan plan, MakePlan(context, finder, policy, now));
  GarbageReport report;
  MUSTER_RETURN_IF_ERROR(CountReleased(context, plan.released, report));
  // Before their rows go: from now on the grace period runs.
  for (const Digest& digest : plan.released) {
    MUSTER_RETURN_IF_ERROR(context.blobs.Touch(digest).status());
  }
  MUSTER_RETURN_IF_ERROR(RemoveVersions(context, policy, now, plan.rows, report));
  for (const JobId& job : plan.rows.old_jobs) {
    MUSTER_RETURN_IF_ERROR(GoOn(context));
    MUSTER_RETURN_IF_ERROR(RemoveHistory(context, job, report));
  }
  MUSTER_RETURN_IF_ERROR(RemoveAudit(context, plan.rows, report));
  if (context.staging != nullptr) {
    MUSTER_RETURN_IF_ERROR(CountUploads(context, now - policy.keep_uploads, report));
    MUSTER_ASSIGN_OR_RETURN(report.uploads, context.staging->Sweep(now - policy.keep_uploads));
  }
  MUSTER_ASSIGN_OR_RETURN(const auto orphans, FindOrphans(context, finder, now - policy.grace));
  MUSTER_RETURN_IF_ERROR(RemoveBlobs(context, orphans, now - policy.grace, report));
  MUSTER_RETURN_IF_ERROR(Record(context, report, now));
  return report;
}

}  // namespace muster
