#include "coordinator/store/audit_chain.h"

#include <charconv>
#include <utility>

#include "proto/codec/field.h"
#include "proto/core/audit_limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr std::string_view kDomain = "muster-audit-1";

void AddNumber(Sha256Hasher& hasher, uint64_t number) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  hasher.Update({bytes, sizeof bytes});
}

Digest HashOf(const Digest& before, const AuditRecord& row) {
  Sha256Hasher hasher;
  hasher.Update(kDomain);
  hasher.Update(before.bytes());
  AddNumber(hasher, row.number);
  AddNumber(hasher, static_cast<uint64_t>(row.at.unix_us));
  AddNumber(hasher, row.count);
  for (const std::string* text : {&row.chain, &row.actor, &row.action, &row.subject, &row.detail}) {
    AddNumber(hasher, text->size());
    hasher.Update(*text);
  }
  return hasher.Finish();
}

absl::Status CheckText(std::string_view what, std::string_view text, size_t limit) {
  if (text.size() <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("audit ", what, ": ", text.size(), " bytes, at most ", limit));
}

template <typename Number>
bool TakeNumber(std::string_view& text, Number& number) {
  const size_t end = text.find('/');
  if (end == std::string_view::npos) return false;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + end, number);
  if (error != std::errc() || stop != text.data() + end) return false;
  text.remove_prefix(end + 1);
  return true;
}

}  // namespace

absl::Status CheckAuditEntry(const AuditRecord& entry) {
  if (entry.chain.empty() || entry.actor.empty() || entry.action.empty() || entry.count == 0) {
    return absl::InvalidArgumentError("an audit row needs a chain, an actor, an action, a count");
  }
  MUSTER_RETURN_IF_ERROR(CheckText("chain", entry.chain, limits::kMaxAuditChainBytes));
  MUSTER_RETURN_IF_ERROR(CheckText("actor", entry.actor, limits::kMaxAuditNameBytes));
  MUSTER_RETURN_IF_ERROR(CheckText("action", entry.action, limits::kMaxAuditNameBytes));
  MUSTER_RETURN_IF_ERROR(CheckText("subject", entry.subject, limits::kMaxAuditNameBytes));
  return CheckText("detail", entry.detail, limits::kMaxAuditDetailBytes);
}

absl::StatusOr<AuditRecord> NextInChain(const AuditChain& chain, const AuditRecord& entry) {
  MUSTER_RETURN_IF_ERROR(CheckAuditEntry(entry));
  AuditRecord row = entry;
  // A hash must be of what the store gives back, and not every store keeps every byte.
  for (std::string* text : {&row.actor, &row.action, &row.subject, &row.detail}) {
    *text = wire::ClampText(*text, text->size());
  }
  row.number = chain.last_number + 1;
  row.hash = HashOf(chain.last_hash, row);
  return row;
}

AuditVerifier::AuditVerifier(AuditChain chain)
    : chain_(std::move(chain)), number_(chain_.anchor_number), hash_(chain_.anchor_hash) {}

absl::Status AuditVerifier::Follow(const AuditRecord& row) {
  if (row.number != number_ + 1) {
    return absl::DataLossError(StrCat("audit chain ", chain_.chain, ": row ", number_ + 1,
                                      " is missing, row ", row.number, " came in its place"));
  }
  if (row.chain != chain_.chain || row.hash != HashOf(hash_, row)) {
    return absl::DataLossError(StrCat("audit chain ", chain_.chain, ": row ", row.number,
                                      " was changed: its hash does not follow from its content and",
                                      " the row before"));
  }
  number_ = row.number;
  hash_ = row.hash;
  return absl::OkStatus();
}

absl::Status AuditVerifier::Finish() const {
  if (number_ == chain_.last_number && hash_ == chain_.last_hash) return absl::OkStatus();
  return absl::DataLossError(StrCat("audit chain ", chain_.chain, ": ends at row ", number_,
                                    ", its last row was ", chain_.last_number));
}

std::string AuditKey::ToString() const { return StrCat(at.unix_us, "/", number, "/", chain); }

absl::StatusOr<AuditKey> AuditKey::Parse(std::string_view text) {
  AuditKey key;
  std::string_view rest = text;
  if (!TakeNumber(rest, key.at.unix_us) || !TakeNumber(rest, key.number) || rest.empty()) {
    return absl::InvalidArgumentError(StrCat("'", text, "' is no place in the audit log"));
  }
  key.chain = std::string(rest);
  return key;
}

}  // namespace muster
