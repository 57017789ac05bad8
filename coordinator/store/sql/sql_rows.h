// The rows of the stores that speak SQL, over one connection inside a transaction. Not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/store/names.h"
#include "coordinator/store/refusals.h"
#include "coordinator/store/sql/statement.h"
#include "coordinator/store/sql/table.h"
#include "coordinator/store/state_store.h"

namespace muster {

class SqlRows {
 public:
  explicit SqlRows(Database& db) : db_(db) {}

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
  // The record of `table` under `keys`; NotFound names it by `text`.
  template <typename R, typename... Keys>
  absl::StatusOr<R> Find(const Table& table, std::string_view text, R (*read)(Row&),
                         const Keys&... keys) const {
    MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare(table.by_key));
    MUSTER_ASSIGN_OR_RETURN(std::optional<R> record, find.BindAll(keys...).One(read));
    if (!record.has_value()) return NoSuchRecord(table.what, text);
    return *std::move(record);
  }

  template <typename R, typename... Parameters>
  absl::StatusOr<std::vector<R>> List(std::string_view sql, R (*read)(Row&),
                                      const Parameters&... parameters) const {
    MUSTER_ASSIGN_OR_RETURN(Statement list, db_.Prepare(sql));
    return list.BindAll(parameters...).All(read);
  }

  // The statement that puts a record which was loaded as version `given`.
  absl::StatusOr<Statement> PreparePut(const Table& table, uint64_t given) {
    return db_.Prepare(given == 0 ? table.insert : table.update);
  }
  // Runs it, parameters bound. If it changed nothing: why, and `otherwise` if the row under `keys`
  // is not the reason.
  template <typename... Keys>
  absl::Status Put(Statement put, const Table& table, std::string_view text, uint64_t given,
                   const absl::Status& otherwise, const Keys&... keys) {
    MUSTER_ASSIGN_OR_RETURN(const uint64_t changed, put.RunCounting());
    if (changed == 1) return absl::OkStatus();
    MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare(table.version));
    MUSTER_ASSIGN_OR_RETURN(const bool found, find.BindAll(keys...).Step());
    std::optional<uint64_t> stored;
    if (found) stored = find.row().U64();
    MUSTER_RETURN_IF_ERROR(CheckRowVersion(table.what, text, stored, given));
    return otherwise;
  }

  absl::StatusOr<AuditChain> HoldAuditChain(const std::string& chain);
  absl::StatusOr<uint64_t> Counter(std::string_view name) const;
  absl::StatusOr<uint64_t> Count(std::string_view name, uint64_t by = 1);
  absl::StatusOr<uint64_t> NextFence();

  Database& db_;
};

}  // namespace muster
