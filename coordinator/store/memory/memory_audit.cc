#include <algorithm>

#include "coordinator/store/audit_chain.h"
#include "coordinator/store/memory/memory_tables.h"
#include "coordinator/store/refusals.h"
#include "proto/core/status.h"

namespace muster {

absl::StatusOr<std::vector<AuditRecord>> MemoryTables::ListAudit(const AuditFilter& filter,
                                                                 const Page& page) const {
  std::optional<AuditKey> after;
  if (!page.after.empty()) {
    MUSTER_ASSIGN_OR_RETURN(after, AuditKey::Parse(page.after));
  }
  std::vector<AuditRecord> list;
  for (const auto& [key, row] : audit_.rows()) {
    if (row.at < filter.since || !row.actor.starts_with(filter.actor) ||
        !row.action.starts_with(filter.action) ||
        (after.has_value() && AuditKey::Of(row) >= *after)) {
      continue;
    }
    list.push_back(row);
  }
  std::sort(list.begin(), list.end(), [](const AuditRecord& a, const AuditRecord& b) {
    return AuditKey::Of(a) > AuditKey::Of(b);
  });
  if (list.size() > page.limit) list.resize(page.limit);
  return list;
}

absl::StatusOr<std::vector<AuditRecord>> MemoryTables::ReadAuditChain(const std::string& chain,
                                                                      uint64_t after,
                                                                      size_t limit) const {
  std::vector<AuditRecord> list;
  for (auto it = audit_.rows().upper_bound({chain, after});
       it != audit_.rows().end() && it->first.first == chain && list.size() < limit; ++it) {
    list.push_back(it->second);
  }
  return list;
}

absl::StatusOr<std::vector<AuditChain>> MemoryTables::ListAuditChains() const {
  std::vector<AuditChain> list;
  for (const auto& [name, chain] : audit_chains_.rows()) list.push_back(chain);
  return list;
}

absl::Status MemoryTables::AppendAudit(const AuditRecord& entry) {
  AuditChain chain{.chain = entry.chain};
  if (const AuditChain* stored = audit_chains_.Find(entry.chain)) chain = *stored;
  MUSTER_ASSIGN_OR_RETURN(AuditRecord row, NextInChain(chain, entry));
  chain.last_number = row.number;
  chain.last_hash = row.hash;
  const std::pair key{row.chain, row.number};
  audit_.Set(*undo_, key, std::move(row));
  audit_chains_.Set(*undo_, entry.chain, std::move(chain));
  return absl::OkStatus();
}

absl::Status MemoryTables::PruneAudit(const std::string& name, uint64_t through) {
  const AuditRecord* last = audit_.Find({name, through});
  if (last == nullptr) return NoAuditRow(name, through);
  AuditChain chain = *audit_chains_.Find(name);
  const uint64_t first = chain.anchor_number + 1;
  chain.anchor_number = through;
  chain.anchor_hash = last->hash;
  audit_chains_.Set(*undo_, name, std::move(chain));
  for (uint64_t number = first; number <= through; ++number) audit_.Erase(*undo_, {name, number});
  return absl::OkStatus();
}

}  // namespace muster
