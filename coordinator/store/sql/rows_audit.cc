#include <limits>

#include "coordinator/store/audit_chain.h"
#include "coordinator/store/sql/sql_rows.h"

namespace muster {
namespace {

constexpr char kSelect[] =
    "SELECT chain, number, at_us, actor, action, subject, detail, count, hash FROM audit";
constexpr char kSelectChain[] =
    "SELECT chain, anchor_number, anchor_hash, last_number, last_hash FROM audit_chain";

AuditRecord ReadAudit(Row& row) {
  AuditRecord audit;
  audit.chain = row.Text();
  audit.number = row.U64();
  audit.at = row.Time();
  audit.actor = row.Text();
  audit.action = row.Text();
  audit.subject = row.Text();
  audit.detail = row.Text();
  audit.count = row.U64();
  audit.hash = row.Hash();
  return audit;
}

AuditChain ReadChain(Row& row) {
  AuditChain chain;
  chain.chain = row.Text();
  chain.anchor_number = row.U64();
  chain.anchor_hash = row.Hash();
  chain.last_number = row.U64();
  chain.last_hash = row.Hash();
  return chain;
}

}  // namespace

absl::StatusOr<std::vector<AuditRecord>> SqlRows::ListAudit(const AuditFilter& filter,
                                                            const Page& page) const {
  static const std::string sql =
      std::string(kSelect) +
      " WHERE at_us >= ?1 AND substr(actor, 1, length(?2)) = ?2"
      " AND substr(action, 1, length(?3)) = ?3 AND (at_us, chain, number) < (?4, ?5, ?6)"
      " ORDER BY at_us DESC, chain DESC, number DESC LIMIT ?7";
  AuditKey after{.at = {std::numeric_limits<int64_t>::max()}};
  if (!page.after.empty()) {
    MUSTER_ASSIGN_OR_RETURN(after, AuditKey::Parse(page.after));
  }
  return List(sql, ReadAudit, filter.since, filter.actor, filter.action, after.at, after.chain,
              after.number, page.limit);
}

absl::StatusOr<std::vector<AuditRecord>> SqlRows::ReadAuditChain(const std::string& chain,
                                                                 uint64_t after,
                                                                 size_t limit) const {
  static const std::string sql =
      std::string(kSelect) + " WHERE chain = ? AND number > ? ORDER BY number LIMIT ?";
  return List(sql, ReadAudit, chain, after, limit);
}

absl::StatusOr<std::vector<AuditChain>> SqlRows::ListAuditChains() const {
  static const std::string sql = std::string(kSelectChain) + " ORDER BY chain";
  return List(sql, ReadChain);
}

// Where many write, the chain's row is where they take turns: it is there and locked before it is
// read.
absl::StatusOr<AuditChain> SqlRows::HoldAuditChain(const std::string& chain) {
  static const std::string plain = std::string(kSelectChain) + " WHERE chain = ?";
  static const std::string locking = plain + " FOR UPDATE";
  {
    MUSTER_ASSIGN_OR_RETURN(
        Statement make, db_.Prepare("INSERT INTO audit_chain (chain, anchor_number, last_number)"
                                    " VALUES (?, 0, 0) ON CONFLICT (chain) DO NOTHING"));
    MUSTER_RETURN_IF_ERROR(make.Bind(chain).Run());
  }
  MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare(db_.ManyWriters() ? locking : plain));
  MUSTER_ASSIGN_OR_RETURN(std::optional<AuditChain> found, find.Bind(chain).One(ReadChain));
  if (!found.has_value()) return absl::AbortedError("the audit chain is being made; try again");
  return *std::move(found);
}

absl::Status SqlRows::AppendAudit(const AuditRecord& entry) {
  MUSTER_RETURN_IF_ERROR(CheckAuditEntry(entry));
  MUSTER_ASSIGN_OR_RETURN(const AuditChain chain, HoldAuditChain(entry.chain));
  MUSTER_ASSIGN_OR_RETURN(const AuditRecord row, NextInChain(chain, entry));
  {
    MUSTER_ASSIGN_OR_RETURN(
        Statement move,
        db_.Prepare("UPDATE audit_chain SET last_number = ?, last_hash = ? WHERE chain = ?"));
    MUSTER_RETURN_IF_ERROR(move.BindAll(row.number, row.hash, row.chain).Run());
  }
  MUSTER_ASSIGN_OR_RETURN(
      Statement insert,
      db_.Prepare("INSERT INTO audit (chain, number, at_us, actor, action, subject, detail, count,"
                  " hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  return insert
      .BindAll(row.chain, row.number, row.at, row.actor, row.action, row.subject, row.detail,
               row.count, row.hash)
      .Run();
}

absl::Status SqlRows::PruneAudit(const std::string& chain, uint64_t through) {
  {
    MUSTER_ASSIGN_OR_RETURN(Statement move,
                            db_.Prepare("UPDATE audit_chain SET anchor_number = ?2, anchor_hash ="
                                        " (SELECT hash FROM audit WHERE chain = ?1 AND number = ?2)"
                                        " WHERE chain = ?1 AND EXISTS"
                                        " (SELECT 1 FROM audit WHERE chain = ?1 AND number = ?2)"));
    MUSTER_ASSIGN_OR_RETURN(const uint64_t moved, move.BindAll(chain, through).RunCounting());
    if (moved == 0) return NoAuditRow(chain, through);
  }
  MUSTER_ASSIGN_OR_RETURN(Statement remove,
                          db_.Prepare("DELETE FROM audit WHERE chain = ? AND number <= ?"));
  return remove.BindAll(chain, through).Run();
}

}  // namespace muster
