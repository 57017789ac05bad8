// The tables of the memory store. Not thread-safe: MemoryStore holds the lock.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "coordinator/store/memory/undo_map.h"
#include "coordinator/store/names.h"
#include "coordinator/store/state_store.h"

namespace muster {

class MemoryTables {
 public:
  // Changes are noted in `undo` until the next call.
  void BeginWrite(UndoLog* undo) { undo_ = undo; }

  absl::StatusOr<JobRecord> FindJob(const JobId& id) const;
  absl::StatusOr<JobRecord> FindJobByKey(const std::string& key) const;
  absl::StatusOr<std::vector<JobRecord>> ListJobs(const Page& page) const;
  absl::StatusOr<RoundRecord> FindRound(const RoundId& id) const;
  absl::StatusOr<std::vector<RoundRecord>> ListRounds(const JobId& job, uint32_t from,
                                                      size_t limit) const;
  absl::StatusOr<std::vector<RoundRecord>> ListOpenRounds() const;
  absl::StatusOr<InvocationRecord> FindInvocation(const InvocationId& id) const;
  absl::StatusOr<std::vector<InvocationRecord>> ListInvocations(const RoundId& round,
                                                                FunctionKind function) const;
  absl::StatusOr<std::vector<InvocationRecord>> ListOpenInvocations(const DeviceId& device) const;
  absl::StatusOr<PartialSumRecord> FindPartialSum(const RoundId& round,
                                                  const std::string& replica) const;
  absl::StatusOr<std::vector<PartialSumRecord>> ListPartialSums(const RoundId& round) const;
  absl::StatusOr<SecAggSessionRecord> FindSecAggSession(const RoundId& round) const;
  absl::StatusOr<SecAggMessageRecord> FindSecAggMessage(const RoundId& round, SecAggStep step,
                                                        const DeviceId& device) const;
  absl::StatusOr<std::vector<SecAggMessageRecord>> ListSecAggMessages(const RoundId& round,
                                                                      SecAggStep step) const;
  absl::StatusOr<std::vector<DeviceId>> ListSecAggSenders(const RoundId& round,
                                                          SecAggStep step) const;
  absl::StatusOr<std::optional<Timestamp>> NextTaskDue() const;
  absl::StatusOr<TaskRecord> FindTask(const std::string& key) const;
  absl::StatusOr<DeviceRecord> FindDevice(const DeviceId& id) const;
  absl::StatusOr<std::vector<DeviceRecord>> ListDevices(const Page& page) const;
  absl::StatusOr<size_t> CountDevices() const;
  absl::Status VisitDevicesSeen(Timestamp since, const StoreReader::OnDevice& visit) const;
  absl::StatusOr<TokenRecord> FindToken(const TokenId& id) const;
  absl::StatusOr<std::vector<TokenRecord>> ListTokens() const;
  absl::StatusOr<ModelRecord> FindModel(const ModelVersion& id) const;
  absl::StatusOr<ModelRecord> FindLatestModel(const ModelName& name) const;
  absl::StatusOr<std::vector<ModelRecord>> ListModels(const std::string& name,
                                                      const Page& page) const;
  absl::StatusOr<PromotionRecord> FindPromotion(const PromotionId& id) const;
  absl::StatusOr<std::vector<PromotionRecord>> ListPromotions(const std::string& name) const;
  absl::StatusOr<uint64_t> CurrentGeneration() const;
  absl::StatusOr<std::vector<UsageRecord>> ListUsage(const std::string& job,
                                                     const std::string& device) const;
  absl::StatusOr<std::vector<AuditRecord>> ListAudit(const AuditFilter& filter,
                                                     const Page& page) const;
  absl::StatusOr<std::vector<AuditRecord>> ReadAuditChain(const std::string& chain, uint64_t after,
                                                          size_t limit) const;
  absl::StatusOr<std::vector<AuditChain>> ListAuditChains() const;

  absl::Status PutJob(const JobRecord& record);
  absl::Status PutRound(const RoundRecord& record);
  absl::Status PutInvocation(const InvocationRecord& record);
  absl::Status PutDevice(const DeviceRecord& record);
  absl::Status PutToken(const TokenRecord& record);
  absl::Status PutModel(const ModelRecord& record);
  absl::Status PutPromotion(const PromotionRecord& record);
  absl::Status PutPartialSum(const PartialSumRecord& record);
  absl::Status DeletePartialSums(const RoundId& round);
  absl::Status PutSecAggSession(const SecAggSessionRecord& record);
  absl::Status AddSecAggMessage(const SecAggMessageRecord& record);
  absl::Status DeleteSecAggMessages(const RoundId& round);
  absl::Status AddTask(const TaskRecord& task);
  absl::Status DeleteTask(const std::string& key);
  absl::StatusOr<std::vector<TaskRecord>> ClaimTasks(Timestamp now, Timestamp leased_until,
                                                     size_t limit);
  absl::Status CompleteTask(const std::string& key, uint64_t fence);
  absl::Status PostponeTask(const std::string& key, uint64_t fence, Timestamp due);
  absl::Status AddUsage(const UsageRecord& delta);
  absl::StatusOr<uint64_t> NextGeneration();
  absl::Status SkipGenerations(uint64_t by);
  absl::Status DeleteModel(const ModelVersion& id);
  absl::StatusOr<size_t> DeleteInvocations(const JobId& job, size_t limit);
  absl::StatusOr<size_t> DeleteUsage(const std::string& job);
  absl::Status AppendAudit(const AuditRecord& entry);
  absl::Status PruneAudit(const std::string& chain, uint64_t through);

 private:
  // A round, then the function, then the device.
  using Seat = std::tuple<RoundId, FunctionKind, DeviceId>;

  uint64_t Counter(const std::string& name) const;
  uint64_t Count(const std::string& name, uint64_t by = 1);

  UndoLog* undo_ = nullptr;
  UndoMap<JobId, JobRecord> jobs_;
  UndoMap<std::string, JobId> job_by_key_;
  UndoMap<RoundId, RoundRecord> rounds_;
  UndoMap<InvocationId, InvocationRecord> invocations_;
  UndoMap<Seat, InvocationId> invocation_by_seat_;
  UndoMap<std::tuple<DeviceId, Timestamp, InvocationId>, bool> open_invocations_;
  UndoMap<std::pair<RoundId, std::string>, PartialSumRecord> partial_sums_;
  UndoMap<RoundId, SecAggSessionRecord> secagg_sessions_;
  UndoMap<std::tuple<RoundId, SecAggStep, DeviceId>, SecAggMessageRecord> secagg_messages_;
  UndoMap<std::string, TaskRecord> tasks_;
  UndoMap<DeviceId, DeviceRecord> devices_;
  UndoMap<TokenId, TokenRecord> tokens_;
  UndoMap<ModelVersion, ModelRecord> models_;
  UndoMap<PromotionId, PromotionRecord> promotions_;
  UndoMap<std::pair<std::string, DeviceId>, UsageRecord> usage_;
  UndoMap<std::string, uint64_t> counters_;
  UndoMap<std::string, AuditChain> audit_chains_;
  UndoMap<std::pair<std::string, uint64_t>, AuditRecord> audit_;
};

}  // namespace muster
