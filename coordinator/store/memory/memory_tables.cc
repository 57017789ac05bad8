#include "coordinator/store/memory/memory_tables.h"

#include <algorithm>
#include <limits>

#include "coordinator/store/refusals.h"
#include "proto/core/status.h"

namespace muster {
namespace {

template <typename V, typename K>
absl::StatusOr<V> FindIn(const UndoMap<K, V>& table, const K& key, std::string_view what,
                         std::string_view text) {
  const V* row = table.Find(key);
  if (row == nullptr) return NoSuchRecord(what, text);
  return *row;
}

// All rows as a list, the largest `order(row)` first.
template <typename K, typename V, typename Order>
std::vector<V> NewestFirst(const std::map<K, V>& rows, Order order) {
  std::vector<V> list;
  for (const auto& [key, row] : rows) list.push_back(row);
  std::sort(list.begin(), list.end(), [&](const V& a, const V& b) { return order(a) > order(b); });
  return list;
}

}  // namespace

absl::StatusOr<JobRecord> MemoryTables::FindJob(const JobId& id) const {
  return FindIn(jobs_, id, "job", id.value());
}

absl::StatusOr<JobRecord> MemoryTables::FindJobByKey(const std::string& key) const {
  const JobId* id = job_by_key_.Find(key);
  if (id == nullptr) return NoSuchRecord("job with idempotency key", key);
  return FindJob(*id);
}

absl::StatusOr<std::vector<JobRecord>> MemoryTables::ListJobs(const Page& page) const {
  const auto order = [](const JobRecord& job) { return std::tie(job.submitted, job.id); };
  std::vector<JobRecord> list = NewestFirst(jobs_.rows(), order);
  if (!page.after.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const JobRecord last, FindJob(JobId::Trusted(page.after)));
    std::erase_if(list, [&](const JobRecord& job) { return order(job) >= order(last); });
  }
  if (list.size() > page.limit) list.resize(page.limit);
  return list;
}

absl::StatusOr<RoundRecord> MemoryTables::FindRound(const RoundId& id) const {
  return FindIn(rounds_, id, "round", id.ToString());
}

absl::StatusOr<std::vector<RoundRecord>> MemoryTables::ListRounds(const JobId& job, uint32_t from,
                                                                  size_t limit) const {
  std::vector<RoundRecord> list;
  for (auto it = rounds_.rows().lower_bound(RoundId{job, from, 0});
       it != rounds_.rows().end() && it->first.job == job && list.size() < limit; ++it) {
    list.push_back(it->second);
  }
  return list;
}

absl::StatusOr<std::vector<RoundRecord>> MemoryTables::ListOpenRounds() const {
  std::vector<RoundRecord> list;
  for (const auto& [id, round] : rounds_.rows()) {
    if (!IsTerminal(round.state)) list.push_back(round);
  }
  return list;
}

absl::StatusOr<InvocationRecord> MemoryTables::FindInvocation(const InvocationId& id) const {
  return FindIn(invocations_, id, "invocation", id.value());
}

absl::StatusOr<std::vector<InvocationRecord>> MemoryTables::ListInvocations(
    const RoundId& round, FunctionKind function) const {
  std::vector<InvocationRecord> list;
  const auto& seats = invocation_by_seat_.rows();
  for (auto it = seats.lower_bound(Seat{round, function, DeviceId()});
       it != seats.end() && std::get<0>(it->first) == round && std::get<1>(it->first) == function;
       ++it) {
    list.push_back(*invocations_.Find(it->second));
  }
  return list;
}

absl::StatusOr<std::vector<InvocationRecord>> MemoryTables::ListOpenInvocations(
    const DeviceId& device) const {
  std::vector<InvocationRecord> list;
  const auto& open = open_invocations_.rows();
  constexpr Timestamp kFirst{std::numeric_limits<int64_t>::min()};
  for (auto it = open.lower_bound({device, kFirst, InvocationId()});
       it != open.end() && std::get<0>(it->first) == device; ++it) {
    list.push_back(*invocations_.Find(std::get<2>(it->first)));
  }
  return list;
}

absl::StatusOr<std::optional<Timestamp>> MemoryTables::NextTaskDue() const {
  std::optional<Timestamp> next;
  for (const auto& [key, task] : tasks_.rows()) {
    const Timestamp ready = std::max(task.due, task.leased_until);
    if (!next.has_value() || ready < *next) next = ready;
  }
  return next;
}

absl::StatusOr<TaskRecord> MemoryTables::FindTask(const std::string& key) const {
  return FindIn(tasks_, key, "task", key);
}

absl::StatusOr<DeviceRecord> MemoryTables::FindDevice(const DeviceId& id) const {
  return FindIn(devices_, id, "device", id.value());
}

absl::StatusOr<std::vector<DeviceRecord>> MemoryTables::ListDevices(const Page& page) const {
  std::vector<DeviceRecord> list;
  for (auto it = devices_.rows().upper_bound(DeviceId::Trusted(page.after));
       it != devices_.rows().end() && list.size() < page.limit; ++it) {
    list.push_back(it->second);
  }
  return list;
}

absl::StatusOr<size_t> MemoryTables::CountDevices() const { return devices_.rows().size(); }

absl::Status MemoryTables::VisitDevicesSeen(Timestamp since,
                                            const StoreReader::OnDevice& visit) const {
  for (const auto& [id, device] : devices_.rows()) {
    if (device.last_seen >= since) MUSTER_RETURN_IF_ERROR(visit(DeviceRecord(device)));
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenRecord> MemoryTables::FindToken(const TokenId& id) const {
  return FindIn(tokens_, id, "token", id.value());
}

absl::StatusOr<std::vector<TokenRecord>> MemoryTables::ListTokens() const {
  return NewestFirst(tokens_.rows(),
                     [](const TokenRecord& token) { return std::tie(token.created, token.id); });
}

absl::StatusOr<ModelRecord> MemoryTables::FindModel(const ModelVersion& id) const {
  return FindIn(models_, id, "model", id.ToString());
}

absl::StatusOr<ModelRecord> MemoryTables::FindLatestModel(const ModelName& name) const {
  const auto& rows = models_.rows();
  auto it = rows.upper_bound(ModelVersion{name, std::numeric_limits<uint32_t>::max()});
  if (it == rows.begin() || (--it)->first.name != name) return NoSuchRecord("model", name.value());
  return it->second;
}

absl::StatusOr<std::vector<ModelRecord>> MemoryTables::ListModels(const std::string& name,
                                                                  const Page& page) const {
  // By name, and for one name the newest version first.
  const auto before = [](const ModelVersion& a, const ModelVersion& b) {
    return a.name != b.name ? a.name < b.name : a.version > b.version;
  };
  ModelVersion after;
  if (!page.after.empty()) {
    MUSTER_ASSIGN_OR_RETURN(after, ModelVersion::Parse(page.after));
  }
  std::vector<ModelRecord> list;
  for (const auto& [id, model] : models_.rows()) {
    if (!name.empty() && id.name.value() != name) continue;
    if (page.after.empty() || before(after, id)) list.push_back(model);
  }
  std::sort(list.begin(), list.end(),
            [&](const ModelRecord& a, const ModelRecord& b) { return before(a.id, b.id); });
  if (list.size() > page.limit) list.resize(page.limit);
  return list;
}

absl::StatusOr<PromotionRecord> MemoryTables::FindPromotion(const PromotionId& id) const {
  return FindIn(promotions_, id, "promotion", id.value());
}

absl::StatusOr<std::vector<PromotionRecord>> MemoryTables::ListPromotions(
    const std::string& name) const {
  std::vector<PromotionRecord> list =
      NewestFirst(promotions_.rows(), [](const PromotionRecord& promotion) {
        return std::tie(promotion.generation, promotion.created, promotion.id);
      });
  if (!name.empty()) {
    std::erase_if(list,
                  [&](const auto& promotion) { return promotion.model.name.value() != name; });
  }
  return list;
}

absl::StatusOr<uint64_t> MemoryTables::CurrentGeneration() const { return Counter("generation"); }

absl::StatusOr<std::vector<UsageRecord>> MemoryTables::ListUsage(const std::string& job,
                                                                 const std::string& device) const {
  std::vector<UsageRecord> list;
  for (const auto& [key, usage] : usage_.rows()) {
    if (!job.empty() && usage.job != job) continue;
    if (!device.empty() && usage.device.value() != device) continue;
    list.push_back(usage);
  }
  return list;
}

uint64_t MemoryTables::Counter(const std::string& name) const {
  const uint64_t* value = counters_.Find(name);
  return value == nullptr ? 0 : *value;
}

}  // namespace muster
