#include <algorithm>

#include "coordinator/store/memory/memory_tables.h"
#include "coordinator/store/refusals.h"
#include "proto/core/status.h"

namespace muster {
namespace {

// The rule of every Put, and the row.
template <typename K, typename V>
absl::Status PutIn(UndoLog& undo, UndoMap<K, V>& table, const K& key, const V& record,
                   std::string_view what, std::string_view text) {
  const V* stored = table.Find(key);
  MUSTER_RETURN_IF_ERROR(CheckRowVersion(
      what, text, stored ? std::optional(stored->row_version) : std::nullopt, record.row_version));
  V next = record;
  ++next.row_version;
  table.Set(undo, key, std::move(next));
  return absl::OkStatus();
}

}  // namespace

absl::Status MemoryTables::PutJob(const JobRecord& record) {
  if (!record.idempotency_key.empty()) {
    const JobId* owner = job_by_key_.Find(record.idempotency_key);
    if (owner != nullptr && *owner != record.id) {
      return RecordExists("job with idempotency key", record.idempotency_key);
    }
  }
  const JobRecord* before = jobs_.Find(record.id);
  const std::string old_key = before == nullptr ? "" : before->idempotency_key;
  MUSTER_RETURN_IF_ERROR(PutIn(*undo_, jobs_, record.id, record, "job", record.id.value()));
  if (old_key != record.idempotency_key) {
    if (!old_key.empty()) job_by_key_.Erase(*undo_, old_key);
    if (!record.idempotency_key.empty()) {
      job_by_key_.Set(*undo_, record.idempotency_key, record.id);
    }
  }
  return absl::OkStatus();
}

absl::Status MemoryTables::PutRound(const RoundRecord& record) {
  if (jobs_.Find(record.id.job) == nullptr) {
    return MissingParent("round", record.id.ToString(), "job " + record.id.job.value());
  }
  return PutIn(*undo_, rounds_, record.id, record, "round", record.id.ToString());
}

absl::Status MemoryTables::PutInvocation(const InvocationRecord& record) {
  if (rounds_.Find(record.round) == nullptr) {
    return MissingParent("invocation", record.id.value(), "round " + record.round.ToString());
  }
  const Seat seat{record.round, record.function, record.device};
  const InvocationId* holder = invocation_by_seat_.Find(seat);
  if (holder != nullptr && *holder != record.id) {
    return RecordExists("invocation of this function, round and device", record.id.value());
  }
  std::optional<InvocationRecord> before;
  if (const InvocationRecord* row = invocations_.Find(record.id)) before = *row;
  MUSTER_RETURN_IF_ERROR(
      PutIn(*undo_, invocations_, record.id, record, "invocation", record.id.value()));
  if (before.has_value()) {
    invocation_by_seat_.Erase(*undo_, Seat{before->round, before->function, before->device});
    open_invocations_.Erase(*undo_, {before->device, before->created, before->id});
  }
  invocation_by_seat_.Set(*undo_, seat, record.id);
  if (record.status == InvocationStatus::kOpen) {
    open_invocations_.Set(*undo_, {record.device, record.created, record.id}, true);
  }
  return absl::OkStatus();
}

absl::Status MemoryTables::PutDevice(const DeviceRecord& record) {
  return PutIn(*undo_, devices_, record.id, record, "device", record.id.value());
}

absl::Status MemoryTables::PutToken(const TokenRecord& record) {
  return PutIn(*undo_, tokens_, record.id, record, "token", record.id.value());
}

absl::Status MemoryTables::PutModel(const ModelRecord& record) {
  return PutIn(*undo_, models_, record.id, record, "model", record.id.ToString());
}

absl::Status MemoryTables::PutPromotion(const PromotionRecord& record) {
  return PutIn(*undo_, promotions_, record.id, record, "promotion", record.id.value());
}

absl::Status MemoryTables::AddTask(const TaskRecord& task) {
  if (tasks_.Find(task.key) != nullptr) return absl::OkStatus();
  TaskRecord fresh = task;
  fresh.leased_until = Timestamp{};
  fresh.fence = 0;
  fresh.attempts = 0;
  tasks_.Set(*undo_, task.key, std::move(fresh));
  return absl::OkStatus();
}

absl::Status MemoryTables::DeleteTask(const std::string& key) {
  if (tasks_.Find(key) != nullptr) tasks_.Erase(*undo_, key);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TaskRecord>> MemoryTables::ClaimTasks(Timestamp now,
                                                                 Timestamp leased_until,
                                                                 size_t limit) {
  std::vector<TaskRecord> claimed;
  for (const auto& [key, task] : tasks_.rows()) {
    if (task.due <= now && task.leased_until <= now) claimed.push_back(task);
  }
  std::sort(claimed.begin(), claimed.end(), [](const TaskRecord& a, const TaskRecord& b) {
    return std::tie(a.due, a.key) < std::tie(b.due, b.key);
  });
  if (claimed.size() > limit) claimed.resize(limit);
  for (TaskRecord& task : claimed) {
    task.leased_until = leased_until;
    task.fence = Count("fence");
    ++task.attempts;
    tasks_.Set(*undo_, task.key, task);
  }
  return claimed;
}

absl::Status MemoryTables::CompleteTask(const std::string& key, uint64_t fence) {
  const TaskRecord* task = tasks_.Find(key);
  if (task == nullptr || fence == 0 || task->fence != fence) return StaleFence(key, fence);
  tasks_.Erase(*undo_, key);
  return absl::OkStatus();
}

absl::Status MemoryTables::PostponeTask(const std::string& key, uint64_t fence, Timestamp due) {
  const TaskRecord* task = tasks_.Find(key);
  if (task == nullptr || fence == 0 || task->fence != fence) return StaleFence(key, fence);
  TaskRecord free = *task;
  free.due = due;
  free.leased_until = Timestamp{};
  free.fence = Count("fence");
  tasks_.Set(*undo_, key, std::move(free));
  return absl::OkStatus();
}

absl::Status MemoryTables::AddUsage(const UsageRecord& delta) {
  const std::pair key{delta.job, delta.device};
  UsageRecord total{.job = delta.job, .device = delta.device};
  if (const UsageRecord* row = usage_.Find(key)) total = *row;
  total.invocations = AddSaturating(total.invocations, delta.invocations);
  total.wall_us = AddSaturating(total.wall_us, delta.wall_us);
  total.cpu_us = AddSaturating(total.cpu_us, delta.cpu_us);
  total.bytes_up = AddSaturating(total.bytes_up, delta.bytes_up);
  total.bytes_down = AddSaturating(total.bytes_down, delta.bytes_down);
  total.cold_starts = AddSaturating(total.cold_starts, delta.cold_starts);
  usage_.Set(*undo_, key, std::move(total));
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> MemoryTables::NextGeneration() { return Count("generation"); }

absl::Status MemoryTables::SkipGenerations(uint64_t by) {
  Count("generation", by);
  return absl::OkStatus();
}

uint64_t MemoryTables::Count(const std::string& name, uint64_t by) {
  const uint64_t next = Counter(name) + by;
  counters_.Set(*undo_, name, next);
  return next;
}

}  // namespace muster
