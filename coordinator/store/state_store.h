// StateStore: everything that must survive the coordinator, behind one interface with one contract
// suite (tests/contract/store). Adapters: memory/, sqlite/ and postgres/. open_store.h picks one.
//
// Write() runs its function in a transaction: all of it becomes durable, or none does. It returns
// OK only after the commit is durable. Adapters commit in groups: functions that wait together
// share one commit, each isolated by a savepoint. A function may run more than once and must have
// no effects outside the transaction. Read() sees one consistent snapshot.
//
// Nobody sees a write before it is durable: the answer to a function that failed waits for the
// commit of those beside it too.
//
// Errors: NotFound for an absent record, AlreadyExists for a broken uniqueness rule, Aborted when a
// row_version or a fence is stale (load again and retry), FailedPrecondition for a round without
// its job, an invocation without its round, and Write() or Read() called from inside Write(),
// ResourceExhausted when the disk is full, Unavailable when the store is away for the moment
// (nothing was kept), DataLoss when it is corrupted.
//
// Unknown from Write(): the connection to the database broke during the commit, and what became of
// it could not be found out. The write is durable or it is not; nobody may take it for failed. Load
// again before repeating, and delete nothing that it may refer to (MayBeDurable()).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/records.h"

namespace muster {

struct Page {
  std::string after;  // exclusive; "" from the start. The key of the last row of the page before.
  size_t limit = 100;
};

// Totals since the store was opened.
struct StoreStats {
  uint64_t commits = 0;        // durable commits
  uint64_t writes = 0;         // functions made durable by them
  uint64_t failed_writes = 0;  // functions that were answered an error
  uint64_t largest_group = 0;  // functions in one commit
  double commit_seconds = 0;   // spent in commits
  uint64_t waiting = 0;        // functions in the queue now
};

class StoreReader {
 public:
  virtual ~StoreReader() = default;

  virtual absl::StatusOr<JobRecord> FindJob(const JobId& id) const = 0;
  virtual absl::StatusOr<JobRecord> FindJobByKey(const std::string& idempotency_key) const = 0;
  // Newest first; `after` is a job id.
  virtual absl::StatusOr<std::vector<JobRecord>> ListJobs(const Page& page) const = 0;

  virtual absl::StatusOr<RoundRecord> FindRound(const RoundId& id) const = 0;
  // All attempts, ordered by (number, attempt), from number `from` on.
  virtual absl::StatusOr<std::vector<RoundRecord>> ListRounds(const JobId& job, uint32_t from,
                                                              size_t limit) const = 0;
  // Not ended yet, ordered by round id.
  virtual absl::StatusOr<std::vector<RoundRecord>> ListOpenRounds() const = 0;

  virtual absl::StatusOr<InvocationRecord> FindInvocation(const InvocationId& id) const = 0;
  // Ordered by device, so that sums over them do not depend on arrival.
  virtual absl::StatusOr<std::vector<InvocationRecord>> ListInvocations(
      const RoundId& round, FunctionKind function) const = 0;
  // Oldest first.
  virtual absl::StatusOr<std::vector<InvocationRecord>> ListOpenInvocations(
      const DeviceId& device) const = 0;

  virtual absl::StatusOr<PartialSumRecord> FindPartialSum(const RoundId& round,
                                                          const std::string& replica) const = 0;
  // Ordered by replica.
  virtual absl::StatusOr<std::vector<PartialSumRecord>> ListPartialSums(
      const RoundId& round) const = 0;

  virtual absl::StatusOr<SecAggSessionRecord> FindSecAggSession(const RoundId& round) const = 0;
  virtual absl::StatusOr<SecAggMessageRecord> FindSecAggMessage(const RoundId& round,
                                                                SecAggStep step,
                                                                const DeviceId& device) const = 0;
  // Ordered by device.
  virtual absl::StatusOr<std::vector<SecAggMessageRecord>> ListSecAggMessages(
      const RoundId& round, SecAggStep step) const = 0;
  // Who sent one, without the messages; ordered.
  virtual absl::StatusOr<std::vector<DeviceId>> ListSecAggSenders(const RoundId& round,
                                                                  SecAggStep step) const = 0;

  // When the next task can be claimed: it is due and its lease, if any, has run out.
  virtual absl::StatusOr<std::optional<Timestamp>> NextTaskDue() const = 0;
  virtual absl::StatusOr<TaskRecord> FindTask(const std::string& key) const = 0;

  virtual absl::StatusOr<DeviceRecord> FindDevice(const DeviceId& id) const = 0;
  // Ordered by id.
  virtual absl::StatusOr<std::vector<DeviceRecord>> ListDevices(const Page& page) const = 0;
  virtual absl::StatusOr<size_t> CountDevices() const = 0;  // revoked ones too
  // Every device that was seen at `since` or later, once each, in an order of the store's own.
  // Costs what these devices cost, however many others there are. An error of `visit` is the
  // result.
  using OnDevice = std::function<absl::Status(DeviceRecord&&)>;
  virtual absl::Status VisitDevicesSeen(Timestamp since, const OnDevice& visit) const = 0;

  virtual absl::StatusOr<TokenRecord> FindToken(const TokenId& id) const = 0;
  // Newest first.
  virtual absl::StatusOr<std::vector<TokenRecord>> ListTokens() const = 0;

  virtual absl::StatusOr<ModelRecord> FindModel(const ModelVersion& id) const = 0;
  virtual absl::StatusOr<ModelRecord> FindLatestModel(const ModelName& name) const = 0;
  // Ordered by name, then newest version first; empty name: all. `after` is "name@version".
  virtual absl::StatusOr<std::vector<ModelRecord>> ListModels(const std::string& name,
                                                              const Page& page) const = 0;

  virtual absl::StatusOr<PromotionRecord> FindPromotion(const PromotionId& id) const = 0;
  // Newest generation first; empty name: all.
  virtual absl::StatusOr<std::vector<PromotionRecord>> ListPromotions(
      const std::string& name) const = 0;
  virtual absl::StatusOr<uint64_t> CurrentGeneration() const = 0;

  // Ordered by (job, device). Empty job or device: all.
  virtual absl::StatusOr<std::vector<UsageRecord>> ListUsage(const std::string& job,
                                                             const std::string& device) const = 0;

  // Newest first by (time, chain, number). `page.after` is AuditKey() of the last row before.
  virtual absl::StatusOr<std::vector<AuditRecord>> ListAudit(const AuditFilter& filter,
                                                             const Page& page) const = 0;
  // The rows of one chain in order, after number `after`.
  virtual absl::StatusOr<std::vector<AuditRecord>> ReadAuditChain(const std::string& chain,
                                                                  uint64_t after,
                                                                  size_t limit) const = 0;
  // Ordered by name.
  virtual absl::StatusOr<std::vector<AuditChain>> ListAuditChains() const = 0;
};

class StoreTx : public StoreReader {
 public:
  // Each Put inserts when record.row_version is 0 and otherwise replaces that very version. On
  // success the stored version is record.row_version + 1.
  virtual absl::Status PutJob(const JobRecord& record) = 0;
  virtual absl::Status PutRound(const RoundRecord& record) = 0;
  virtual absl::Status PutInvocation(const InvocationRecord& record) = 0;
  virtual absl::Status PutDevice(const DeviceRecord& record) = 0;
  virtual absl::Status PutToken(const TokenRecord& record) = 0;
  virtual absl::Status PutModel(const ModelRecord& record) = 0;
  virtual absl::Status PutPromotion(const PromotionRecord& record) = 0;

  // FailedPrecondition without its round.
  virtual absl::Status PutPartialSum(const PartialSumRecord& record) = 0;
  // Of all replicas.
  virtual absl::Status DeletePartialSums(const RoundId& round) = 0;

  // FailedPrecondition if it would change survivors that are set: a second set of survivors would
  // open single updates. Without its round: FailedPrecondition too.
  virtual absl::Status PutSecAggSession(const SecAggSessionRecord& record) = 0;
  // AlreadyExists if the device sent one in this step. FailedPrecondition without the session.
  virtual absl::Status AddSecAggMessage(const SecAggMessageRecord& record) = 0;
  // Of all steps of the round, for good.
  virtual absl::Status DeleteSecAggMessages(const RoundId& round) = 0;

  // The new task is free. A task whose key exists is left as it is: effects are idempotent.
  virtual absl::Status AddTask(const TaskRecord& task) = 0;
  // Absent is fine.
  virtual absl::Status DeleteTask(const std::string& key) = 0;
  // Up to `limit` tasks that are due and not leased: leases them until `leased_until`, with a new
  // fence, and counts the attempt. Earliest due first. Fences grow over all tasks, so a task that
  // was completed and added again never meets its old fence.
  virtual absl::StatusOr<std::vector<TaskRecord>> ClaimTasks(Timestamp now, Timestamp leased_until,
                                                             size_t limit) = 0;
  // Deletes the task if `fence` is still its fence; Aborted otherwise.
  virtual absl::Status CompleteTask(const std::string& key, uint64_t fence) = 0;
  // Gives a claimed task back, due again at `due`; its fence is stale from then on.
  virtual absl::Status PostponeTask(const std::string& key, uint64_t fence, Timestamp due) = 0;

  // Adds up; totals stop at the largest int64.
  virtual absl::Status AddUsage(const UsageRecord& delta) = 0;
  // Counts up by one, from 1.
  virtual absl::StatusOr<uint64_t> NextGeneration() = 0;
  // Counts up by `by` at once, past generations that a store which went back in time once gave.
  virtual absl::Status SkipGenerations(uint64_t by) = 0;

  // What garbage collection lets go. Absent is fine.
  virtual absl::Status DeleteModel(const ModelVersion& id) = 0;
  // At most `limit` invocations of the job; returns how many.
  virtual absl::StatusOr<size_t> DeleteInvocations(const JobId& job, size_t limit) = 0;
  // Of the job, on all devices; returns how many rows.
  virtual absl::StatusOr<size_t> DeleteUsage(const std::string& job) = 0;

  // Adds the row at the end of its chain; number and hash are the store's. Transactions that write
  // to one chain follow each other, to different chains they do not wait. InvalidArgument for a row
  // beyond the limits of the audit log.
  virtual absl::Status AppendAudit(const AuditRecord& entry) = 0;
  // Removes the chain's rows up to number `through`, whose hash becomes its anchor.
  // FailedPrecondition if there is no such row.
  virtual absl::Status PruneAudit(const std::string& chain, uint64_t through) = 0;
};

// For the answer of Write(): what was written may be in the store.
inline bool MayBeDurable(const absl::Status& status) {
  return status.ok() || absl::IsUnknown(status);
}

class StateStore {
 public:
  using HintCallback = std::function<void(const std::string& key)>;

  virtual ~StateStore() = default;
  virtual absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) = 0;
  virtual absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const = 0;
  virtual StoreStats Stats() const = 0;

  // Tells the other replicas over this store that something may have changed under `keys`, if they
  // can be told: for a store of one process there is nobody. Only a hint, which may be lost:
  // whoever waits polls as well. Does not wait.
  virtual void Hint(const std::vector<std::string>& /*keys*/) {}
  // Calls `callback` for keys that other replicas gave to Hint(), from a thread of the store. An
  // empty one ends that: no call runs when this has returned.
  virtual void OnHint(HintCallback /*callback*/) {}
};

}  // namespace muster
