#include "coordinator/rpc/refusal_log.h"

#include <utility>

#include "coordinator/drive/audit.h"
#include "proto/core/audit_limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kOthers[] = "others";

// What is one too many different ones is counted here.
template <typename Key>
Key OthersKey() {
  return {kOthers, "", absl::StatusCode::kPermissionDenied};
}

bool IsRefusal(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status) ||
         absl::IsResourceExhausted(status);
}

}  // namespace

void RefusalLog::Note(const std::optional<Principal>& caller, std::string_view method,
                      const absl::Status& status, std::string_view peer) {
  if (!IsRefusal(status)) return;
  Key key{NameOf(caller), std::string(method), status.code()};
  std::lock_guard lock(mutex_);
  if (noted_.empty()) opened_ = clock_.Now();
  auto found = noted_.find(key);
  if (found == noted_.end() && noted_.size() >= limits::kMaxRefusalRows) {
    key = OthersKey<Key>();
    found = noted_.find(key);
  }
  if (found == noted_.end()) {
    found = noted_.emplace(std::move(key), Noted{}).first;
    found->second.detail = CutText(StrCat("from ", peer, ": ", StdView(status.message())),
                                   limits::kMaxAuditDetailBytes);
  }
  ++found->second.count;
}

AuditRecord RefusalLog::RowFor(const Key& key, const Noted& noted, Timestamp at) const {
  return {.chain = chain_,
          .at = at,
          .actor = CutText(key.actor, limits::kMaxAuditNameBytes),
          .action = StrCat(audit::kRefused, ".", absl::StatusCodeToString(key.code)),
          .subject = CutText(key.method, limits::kMaxAuditNameBytes),
          .detail = noted.detail,
          .count = noted.count};
}

absl::Status RefusalLog::Flush(bool now_or_never) {
  std::map<Key, Noted> batch;
  Timestamp opened;
  {
    std::lock_guard lock(mutex_);
    if (noted_.empty()) return absl::OkStatus();
    if (!now_or_never && clock_.Now() - opened_ < limits::kRefusalWindow) return absl::OkStatus();
    batch.swap(noted_);
    opened = opened_;
  }
  absl::Status written = store_.Write([&](StoreTx& tx) -> absl::Status {
    for (const auto& [key, noted] : batch) {
      MUSTER_RETURN_IF_ERROR(tx.AppendAudit(RowFor(key, noted, opened)));
    }
    return absl::OkStatus();
  });
  if (written.ok()) return written;
  std::lock_guard lock(mutex_);  // for the next time; what came since is counted with it
  opened_ = opened;
  for (auto& [key, noted] : batch) {
    const bool full = noted_.size() >= limits::kMaxRefusalRows && !noted_.contains(key);
    Noted& kept = noted_[full ? OthersKey<Key>() : key];
    if (kept.detail.empty()) kept.detail = std::move(noted.detail);
    kept.count += noted.count;
  }
  return written;
}

}  // namespace muster
