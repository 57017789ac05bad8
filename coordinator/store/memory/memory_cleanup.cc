// What garbage collection lets go.
#include "coordinator/store/memory/memory_tables.h"

namespace muster {

absl::Status MemoryTables::DeleteModel(const ModelVersion& id) {
  if (models_.Find(id) != nullptr) models_.Erase(*undo_, id);
  return absl::OkStatus();
}

absl::StatusOr<size_t> MemoryTables::DeleteInvocations(const JobId& job, size_t limit) {
  std::vector<InvocationRecord> found;
  for (const auto& [id, invocation] : invocations_.rows()) {
    if (found.size() == limit) break;
    if (invocation.round.job == job) found.push_back(invocation);
  }
  for (const InvocationRecord& row : found) {
    invocations_.Erase(*undo_, row.id);
    invocation_by_seat_.Erase(*undo_, Seat{row.round, row.function, row.device});
    open_invocations_.Erase(*undo_, {row.device, row.created, row.id});
  }
  return found.size();
}

absl::StatusOr<size_t> MemoryTables::DeleteUsage(const std::string& job) {
  std::vector<std::pair<std::string, DeviceId>> found;
  for (const auto& [key, usage] : usage_.rows()) {
    if (key.first == job) found.push_back(key);
  }
  for (const auto& key : found) usage_.Erase(*undo_, key);
  return found.size();
}

}  // namespace muster
