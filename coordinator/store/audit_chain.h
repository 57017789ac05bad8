// The audit log's arithmetic: what a row's hash covers, and whether a chain is whole. Pure.
//
//   hash = SHA-256("muster-audit-1" | hash of the row before, or 32 zero bytes | number | at |
//   count
//                  | chain | actor | action | subject | detail)
//
// Numbers are 8 bytes, little-endian; each text has its length before it as such a number. So no
// two rows have the same bytes, and no row can be changed, moved or taken out of a chain without
// changing every hash after it. Whoever can write to the store can also make all hashes anew: keep
// the end of each chain (`muster audit verify` prints it) somewhere else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/records.h"

namespace muster {

// InvalidArgument for texts beyond the limits, an empty chain, actor or action, and a count of 0.
absl::Status CheckAuditEntry(const AuditRecord& entry);

// `entry` as the next row of `chain`, with '?' for what is no text (bytes that are no UTF-8,
// control characters); the errors of CheckAuditEntry.
absl::StatusOr<AuditRecord> NextInChain(const AuditChain& chain, const AuditRecord& entry);

// Follows a chain from its anchor to its end.
class AuditVerifier {
 public:
  explicit AuditVerifier(AuditChain chain);

  // The next row; DataLoss, naming the row, if it does not follow from the one before.
  absl::Status Follow(const AuditRecord& row);
  // After the last row: DataLoss if the chain should go on.
  absl::Status Finish() const;
  uint64_t number() const { return number_; }

 private:
  AuditChain chain_;
  uint64_t number_ = 0;
  Digest hash_;
};

// Where ListAudit goes on: "at/number/chain".
struct AuditKey {
  Timestamp at;
  std::string chain;
  uint64_t number = 0;

  std::string ToString() const;
  static absl::StatusOr<AuditKey> Parse(std::string_view text);
  static AuditKey Of(const AuditRecord& row) { return {row.at, row.chain, row.number}; }
  friend auto operator<=>(const AuditKey&, const AuditKey&) = default;
};

}  // namespace muster
