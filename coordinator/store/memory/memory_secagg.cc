// What secure aggregation keeps, in memory.
#include "coordinator/store/memory/memory_tables.h"
#include "coordinator/store/refusals.h"
#include "proto/core/status.h"

namespace muster {

absl::StatusOr<SecAggSessionRecord> MemoryTables::FindSecAggSession(const RoundId& round) const {
  const SecAggSessionRecord* row = secagg_sessions_.Find(round);
  if (row == nullptr) return NoSuchRecord("secure aggregation session of round", round.ToString());
  return *row;
}

absl::StatusOr<SecAggMessageRecord> MemoryTables::FindSecAggMessage(const RoundId& round,
                                                                    SecAggStep step,
                                                                    const DeviceId& device) const {
  const SecAggMessageRecord* row = secagg_messages_.Find({round, step, device});
  if (row == nullptr) return NoSuchRecord(SecAggMessageText(step), device.value());
  return *row;
}

absl::StatusOr<std::vector<SecAggMessageRecord>> MemoryTables::ListSecAggMessages(
    const RoundId& round, SecAggStep step) const {
  std::vector<SecAggMessageRecord> list;
  const auto& rows = secagg_messages_.rows();
  for (auto it = rows.lower_bound({round, step, DeviceId()});
       it != rows.end() && it->second.round == round && it->second.step == step; ++it) {
    list.push_back(it->second);
  }
  return list;
}

absl::StatusOr<std::vector<DeviceId>> MemoryTables::ListSecAggSenders(const RoundId& round,
                                                                      SecAggStep step) const {
  std::vector<DeviceId> list;
  const auto& rows = secagg_messages_.rows();
  for (auto it = rows.lower_bound({round, step, DeviceId()});
       it != rows.end() && it->second.round == round && it->second.step == step; ++it) {
    list.push_back(it->second.device);
  }
  return list;
}

absl::Status MemoryTables::PutSecAggSession(const SecAggSessionRecord& record) {
  if (rounds_.Find(record.round) == nullptr) {
    return MissingParent("the secure aggregation session", record.round.ToString(),
                         "round " + record.round.ToString());
  }
  const SecAggSessionRecord* stored = secagg_sessions_.Find(record.round);
  MUSTER_RETURN_IF_ERROR(CheckRowVersion(
      "secure aggregation session of round", record.round.ToString(),
      stored ? std::optional(stored->row_version) : std::nullopt, record.row_version));
  if (stored != nullptr && !stored->survivors.empty() && stored->survivors != record.survivors) {
    return SurvivorsAreFinal(record.round.ToString());
  }
  SecAggSessionRecord next = record;
  ++next.row_version;
  secagg_sessions_.Set(*undo_, record.round, std::move(next));
  return absl::OkStatus();
}

absl::Status MemoryTables::AddSecAggMessage(const SecAggMessageRecord& record) {
  if (secagg_sessions_.Find(record.round) == nullptr) {
    return MissingParent(SecAggMessageText(record.step), record.device.value(),
                         "the session of round " + record.round.ToString());
  }
  const std::tuple key{record.round, record.step, record.device};
  if (secagg_messages_.Find(key) != nullptr) {
    return RecordExists(SecAggMessageText(record.step), record.device.value());
  }
  secagg_messages_.Set(*undo_, key, record);
  return absl::OkStatus();
}

absl::Status MemoryTables::DeleteSecAggMessages(const RoundId& round) {
  while (true) {
    const auto it = secagg_messages_.rows().lower_bound({round, SecAggStep::kAdvert, DeviceId()});
    if (it == secagg_messages_.rows().end() || it->second.round != round) return absl::OkStatus();
    const auto key = it->first;
    secagg_messages_.Erase(*undo_, key);
  }
}

}  // namespace muster
