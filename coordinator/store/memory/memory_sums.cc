// The parts of a round's sum, in memory.
#include "coordinator/store/memory/memory_tables.h"
#include "coordinator/store/refusals.h"
#include "proto/core/status.h"

namespace muster {

absl::StatusOr<PartialSumRecord> MemoryTables::FindPartialSum(const RoundId& round,
                                                              const std::string& replica) const {
  const PartialSumRecord* row = partial_sums_.Find({round, replica});
  if (row == nullptr) return NoSuchRecord("partial sum", PartialSumText(round, replica));
  return *row;
}

absl::StatusOr<std::vector<PartialSumRecord>> MemoryTables::ListPartialSums(
    const RoundId& round) const {
  std::vector<PartialSumRecord> list;
  const auto& rows = partial_sums_.rows();
  for (auto it = rows.lower_bound({round, ""}); it != rows.end() && it->first.first == round;
       ++it) {
    list.push_back(it->second);
  }
  return list;
}

absl::Status MemoryTables::PutPartialSum(const PartialSumRecord& record) {
  const std::string text = PartialSumText(record.round, record.replica);
  if (rounds_.Find(record.round) == nullptr) {
    return MissingParent("partial sum", text, "round " + record.round.ToString());
  }
  const std::pair key{record.round, record.replica};
  const PartialSumRecord* stored = partial_sums_.Find(key);
  MUSTER_RETURN_IF_ERROR(CheckRowVersion("partial sum", text,
                                         stored ? std::optional(stored->row_version) : std::nullopt,
                                         record.row_version));
  PartialSumRecord next = record;
  ++next.row_version;
  partial_sums_.Set(*undo_, key, std::move(next));
  return absl::OkStatus();
}

absl::Status MemoryTables::DeletePartialSums(const RoundId& round) {
  while (true) {
    const auto it = partial_sums_.rows().lower_bound({round, ""});
    if (it == partial_sums_.rows().end() || it->first.first != round) return absl::OkStatus();
    const auto key = it->first;
    partial_sums_.Erase(*undo_, key);
  }
}

}  // namespace muster
