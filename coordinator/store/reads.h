// Puts an adapter's rows behind StoreReader (Read) or StoreTx (Write) without writing each method
// twice: `Rows` has methods of the same names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/store/state_store.h"

namespace muster {

template <typename Interface, typename Rows>
class Reads : public Interface {
 public:
  explicit Reads(Rows& rows) : rows_(rows) {}

  absl::StatusOr<JobRecord> FindJob(const JobId& id) const override { return rows_.FindJob(id); }
  absl::StatusOr<JobRecord> FindJobByKey(const std::string& key) const override {
    return rows_.FindJobByKey(key);
  }
  absl::StatusOr<std::vector<JobRecord>> ListJobs(const Page& page) const override {
    return rows_.ListJobs(page);
  }
  absl::StatusOr<RoundRecord> FindRound(const RoundId& id) const override {
    return rows_.FindRound(id);
  }
  absl::StatusOr<std::vector<RoundRecord>> ListRounds(const JobId& job, uint32_t from,
                                                      size_t limit) const override {
    return rows_.ListRounds(job, from, limit);
  }
  absl::StatusOr<std::vector<RoundRecord>> ListOpenRounds() const override {
    return rows_.ListOpenRounds();
  }
  absl::StatusOr<InvocationRecord> FindInvocation(const InvocationId& id) const override {
    return rows_.FindInvocation(id);
  }
  absl::StatusOr<std::vector<InvocationRecord>> ListInvocations(
      const RoundId& round, FunctionKind function) const override {
    return rows_.ListInvocations(round, function);
  }
  absl::StatusOr<std::vector<InvocationRecord>> ListOpenInvocations(
      const DeviceId& device) const override {
    return rows_.ListOpenInvocations(device);
  }
  absl::StatusOr<PartialSumRecord> FindPartialSum(const RoundId& round,
                                                  const std::string& replica) const override {
    return rows_.FindPartialSum(round, replica);
  }
  absl::StatusOr<std::vector<PartialSumRecord>> ListPartialSums(
      const RoundId& round) const override {
    return rows_.ListPartialSums(round);
  }
  absl::StatusOr<SecAggSessionRecord> FindSecAggSession(const RoundId& round) const override {
    return rows_.FindSecAggSession(round);
  }
  absl::StatusOr<SecAggMessageRecord> FindSecAggMessage(const RoundId& round, SecAggStep step,
                                                        const DeviceId& device) const override {
    return rows_.FindSecAggMessage(round, step, device);
  }
  absl::StatusOr<std::vector<SecAggMessageRecord>> ListSecAggMessages(
      const RoundId& round, SecAggStep step) const override {
    return rows_.ListSecAggMessages(round, step);
  }
  absl::StatusOr<std::vector<DeviceId>> ListSecAggSenders(const RoundId& round,
                                                          SecAggStep step) const override {
    return rows_.ListSecAggSenders(round, step);
  }
  absl::StatusOr<std::optional<Timestamp>> NextTaskDue() const override {
    return rows_.NextTaskDue();
  }
  absl::StatusOr<TaskRecord> FindTask(const std::string& key) const override {
    return rows_.FindTask(key);
  }
  absl::StatusOr<DeviceRecord> FindDevice(const DeviceId& id) const override {
    return rows_.FindDevice(id);
  }
  absl::StatusOr<std::vector<DeviceRecord>> ListDevices(const Page& page) const override {
    return rows_.ListDevices(page);
  }
  absl::StatusOr<size_t> CountDevices() const override { return rows_.CountDevices(); }
  absl::Status VisitDevicesSeen(Timestamp since,
                                const StoreReader::OnDevice& visit) const override {
    return rows_.VisitDevicesSeen(since, visit);
  }
  absl::StatusOr<TokenRecord> FindToken(const TokenId& id) const override {
    return rows_.FindToken(id);
  }
  absl::StatusOr<std::vector<TokenRecord>> ListTokens() const override {
    return rows_.ListTokens();
  }
  absl::StatusOr<ModelRecord> FindModel(const ModelVersion& id) const override {
    return rows_.FindModel(id);
  }
  absl::StatusOr<ModelRecord> FindLatestModel(const ModelName& name) const override {
    return rows_.FindLatestModel(name);
  }
  absl::StatusOr<std::vector<ModelRecord>> ListModels(const std::string& name,
                                                      const Page& page) const override {
    return rows_.ListModels(name, page);
  }
  absl::StatusOr<PromotionRecord> FindPromotion(const PromotionId& id) const override {
    return rows_.FindPromotion(id);
  }
  absl::StatusOr<std::vector<PromotionRecord>> ListPromotions(
      const std::string& name) const override {
    return rows_.ListPromotions(name);
  }
  absl::StatusOr<uint64_t> CurrentGeneration() const override { return rows_.CurrentGeneration(); }
  absl::StatusOr<std::vector<UsageRecord>> ListUsage(const std::string& job,
                                                     const std::string& device) const override {
    return rows_.ListUsage(job, device);
  }
  absl::StatusOr<std::vector<AuditRecord>> ListAudit(const AuditFilter& filter,
                                                     const Page& page) const override {
    return rows_.ListAudit(filter, page);
  }
  absl::StatusOr<std::vector<AuditRecord>> ReadAuditChain(const std::string& chain, uint64_t after,
                                                          size_t limit) const override {
    return rows_.ReadAuditChain(chain, after, limit);
  }
  absl::StatusOr<std::vector<AuditChain>> ListAuditChains() const override {
    return rows_.ListAuditChains();
  }

 protected:
  Rows& rows_;
};

template <typename Rows>
using ReaderOver = Reads<StoreReader, Rows>;

template <typename Rows>
class TxOver : public Reads<StoreTx, Rows> {
 public:
  using Reads<StoreTx, Rows>::Reads;

  absl::Status PutJob(const JobRecord& r) override { return this->rows_.PutJob(r); }
  absl::Status PutRound(const RoundRecord& r) override { return this->rows_.PutRound(r); }
  absl::Status PutInvocation(const InvocationRecord& r) override {
    return this->rows_.PutInvocation(r);
  }
  absl::Status PutDevice(const DeviceRecord& r) override { return this->rows_.PutDevice(r); }
  absl::Status PutToken(const TokenRecord& r) override { return this->rows_.PutToken(r); }
  absl::Status PutModel(const ModelRecord& r) override { return this->rows_.PutModel(r); }
  absl::Status PutPromotion(const PromotionRecord& r) override {
    return this->rows_.PutPromotion(r);
  }
  absl::Status PutPartialSum(const PartialSumRecord& r) override {
    return this->rows_.PutPartialSum(r);
  }
  absl::Status DeletePartialSums(const RoundId& round) override {
    return this->rows_.DeletePartialSums(round);
  }
  absl::Status PutSecAggSession(const SecAggSessionRecord& r) override {
    return this->rows_.PutSecAggSession(r);
  }
  absl::Status AddSecAggMessage(const SecAggMessageRecord& r) override {
    return this->rows_.AddSecAggMessage(r);
  }
  absl::Status DeleteSecAggMessages(const RoundId& round) override {
    return this->rows_.DeleteSecAggMessages(round);
  }
  absl::Status AddTask(const TaskRecord& task) override { return this->rows_.AddTask(task); }
  absl::Status DeleteTask(const std::string& key) override { return this->rows_.DeleteTask(key); }
  absl::StatusOr<std::vector<TaskRecord>> ClaimTasks(Timestamp now, Timestamp leased_until,
                                                     size_t limit) override {
    return this->rows_.ClaimTasks(now, leased_until, limit);
  }
  absl::Status CompleteTask(const std::string& key, uint64_t fence) override {
    return this->rows_.CompleteTask(key, fence);
  }
  absl::Status PostponeTask(const std::string& key, uint64_t fence, Timestamp due) override {
    return this->rows_.PostponeTask(key, fence, due);
  }
  absl::Status AddUsage(const UsageRecord& delta) override { return this->rows_.AddUsage(delta); }
  absl::Status DeleteModel(const ModelVersion& id) override { return this->rows_.DeleteModel(id); }
  absl::StatusOr<size_t> DeleteInvocations(const JobId& job, size_t limit) override {
    return this->rows_.DeleteInvocations(job, limit);
  }
  absl::StatusOr<size_t> DeleteUsage(const std::string& job) override {
    return this->rows_.DeleteUsage(job);
  }
  absl::Status AppendAudit(const AuditRecord& entry) override {
    return this->rows_.AppendAudit(entry);
  }
  absl::Status PruneAudit(const std::string& chain, uint64_t through) override {
    return this->rows_.PruneAudit(chain, through);
  }
  absl::StatusOr<uint64_t> NextGeneration() override { return this->rows_.NextGeneration(); }
  absl::Status SkipGenerations(uint64_t by) override { return this->rows_.SkipGenerations(by); }
};

}  // namespace muster
