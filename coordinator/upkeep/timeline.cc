#include "coordinator/upkeep/timeline.h"

#include <utility>

#include "coordinator/drive/audit.h"
#include "coordinator/drive/transitions.h"
#include "coordinator/upkeep/references.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kJobSuffixBytes = 4;
constexpr char kRestoredBy[] = "restore";

// The job as it stood ends; what is left to do is a new one's.
absl::StatusOr<Continued> ContinueJob(StoreTx& tx, const JobRecord& job, const JobId& next,
                                      Timestamp now, const DriveOptions& options) {
  const JobRunning running = std::get<JobRunning>(job.state);
  AfterCommit nobody;
  MUSTER_ASSIGN_OR_RETURN(
      const auto ignored,
      ApplyToJob(tx, nobody, job.id, CancelRequested{kRestoredBy}, now, options));
  if (ignored) return absl::InternalError(StrCat("job ", job.id.value(), ": ", ignored->why));
  // The key stays with whoever does the work.
  MUSTER_ASSIGN_OR_RETURN(JobRecord ended, tx.FindJob(job.id));
  ended.idempotency_key.clear();
  MUSTER_RETURN_IF_ERROR(tx.PutJob(ended));
  JobRecord successor = job;
  successor.id = next;
  successor.row_version = 0;
  successor.state = JobRunning{running.round, 1, running.version};
  MUSTER_RETURN_IF_ERROR(tx.PutJob(successor));
  ++successor.row_version;
  MUSTER_RETURN_IF_ERROR(
      OpenRoundInStore(tx, nobody, successor, {running.round, 1, running.version}, now, options));
  return Continued{job.id, next};
}

absl::Status EndJobs(StoreTx& tx, const std::vector<JobId>& names, Timestamp now,
                     const DriveOptions& options, NewTimeline& result) {
  std::vector<JobRecord> open;
  MUSTER_RETURN_IF_ERROR(ForEachJob(tx, [&](const JobRecord& job) {
    if (!IsTerminal(job.state)) open.push_back(job);
    return absl::OkStatus();
  }));
  if (open.size() > names.size()) return absl::AbortedError("a job was submitted meanwhile");
  for (size_t i = 0; i < open.size(); ++i) {
    if (const auto* finishing = std::get_if<JobFinishing>(&open[i].state)) {
      AfterCommit nobody;
      MUSTER_RETURN_IF_ERROR(
          ApplyToJob(tx, nobody, open[i].id, EvaluationEnded{finishing->version}, now, options)
              .status());
      ++result.finished_jobs;
      continue;
    }
    MUSTER_ASSIGN_OR_RETURN(Continued continued, ContinueJob(tx, open[i], names[i], now, options));
    result.jobs.push_back(std::move(continued));
  }
  return absl::OkStatus();
}

absl::Status RevokeTokens(StoreTx& tx, Timestamp now, NewTimeline& result) {
  MUSTER_ASSIGN_OR_RETURN(auto tokens, tx.ListTokens());
  for (TokenRecord& token : tokens) {
    if (token.revoked || token.used >= token.uses || token.expires <= now) continue;
    token.revoked = true;
    MUSTER_RETURN_IF_ERROR(tx.PutToken(token));
    ++result.revoked_tokens;
  }
  return absl::OkStatus();
}

absl::Status Record(StoreTx& tx, const DriveOptions& options, const NewTimeline& result,
                    const std::string& backup, Timestamp now) {
  AuditRecord row{.chain = ChangesChain(options),
                  .at = now,
                  .actor = "command/restore",
                  .action = audit::kRestore,
                  .detail = StrCat("backup=", backup, " revoked_tokens=", result.revoked_tokens)};
  MUSTER_RETURN_IF_ERROR(tx.AppendAudit(row));
  for (const Continued& job : result.jobs) {
    row.subject = StrCat("job/", job.now.value());
    row.detail = StrCat("goes on from job/", job.before.value());
    MUSTER_RETURN_IF_ERROR(tx.AppendAudit(row));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<NewTimeline> BeginNewTimeline(StateStore& store, RandomSource& random,
                                             const DriveOptions& options, Timestamp now,
                                             const std::string& backup) {
  // Dice before the transaction: it may run more than once.
  std::vector<JobId> names;
  MUSTER_RETURN_IF_ERROR(store.Read([&](const StoreReader& reader) {
    return ForEachJob(reader, [&](const JobRecord& job) {
      if (IsTerminal(job.state)) return absl::OkStatus();
      names.push_back(JobId::Trusted(StrCat("j-", random.Hex(kJobSuffixBytes))));
      return absl::OkStatus();
    });
  }));
  NewTimeline result;
  MUSTER_RETURN_IF_ERROR(store.Write([&](StoreTx& tx) -> absl::Status {
    result = {};
    MUSTER_RETURN_IF_ERROR(tx.SkipGenerations(kGenerationJump));
    MUSTER_RETURN_IF_ERROR(EndJobs(tx, names, now, options, result));
    MUSTER_RETURN_IF_ERROR(RevokeTokens(tx, now, result));
    return Record(tx, options, result, backup, now);
  }));
  return result;
}

}  // namespace muster
