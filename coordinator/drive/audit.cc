#include "coordinator/drive/audit.h"

#include "proto/core/audit_limits.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr std::string_view kEllipsis = "...";

// The second and later bytes of a character in UTF-8.
bool Continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

}  // namespace

std::string ChangesChain(const DriveOptions& options) {
  return StrCat(options.replica, kChangesSuffix);
}

std::string RefusalsChain(const DriveOptions& options) {
  return StrCat(options.replica, kRefusalsSuffix);
}

absl::Status Audit(StoreTx& tx, DriveContext& context, const AuditEntry& entry) {
  return tx.AppendAudit({.chain = ChangesChain(context.options),
                         .at = context.clock.Now(),
                         .actor = CutText(entry.actor, limits::kMaxAuditNameBytes),
                         .action = std::string(entry.action),
                         .subject = CutText(entry.subject, limits::kMaxAuditNameBytes),
                         .detail = CutText(entry.detail, limits::kMaxAuditDetailBytes)});
}

std::string CutText(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  size_t end = bytes - kEllipsis.size();
  while (end > 0 && Continues(text[end])) --end;
  return StrCat(text.substr(0, end), kEllipsis);
}

}  // namespace muster
