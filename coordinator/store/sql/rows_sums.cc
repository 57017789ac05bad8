// The parts of a round's sum: one row for each replica that took updates of it.
#include "coordinator/store/names.h"
#include "coordinator/store/sql/sql_rows.h"

namespace muster {
namespace {

const Table& PartialSums() {
  static const Table table =
      MakeTable("partial_sum", {"job", "round", "attempt", "replica"}, {"row_version", "blob"},
                {.what = "partial sum",
                 .parent = "SELECT 1 FROM round WHERE job = ?1"
                           " AND number = ?2 AND attempt = ?3"});
  return table;
}

PartialSumRecord ReadPartialSum(Row& row) {
  PartialSumRecord sum;
  sum.round.job = row.Name<JobId>();
  sum.round.number = row.U32();
  sum.round.attempt = row.U32();
  sum.replica = row.Text();
  sum.row_version = row.U64();
  sum.blob = row.Hash();
  return sum;
}

}  // namespace

absl::StatusOr<PartialSumRecord> SqlRows::FindPartialSum(const RoundId& round,
                                                         const std::string& replica) const {
  return Find(PartialSums(), PartialSumText(round, replica), ReadPartialSum, round.job,
              round.number, round.attempt, replica);
}

absl::StatusOr<std::vector<PartialSumRecord>> SqlRows::ListPartialSums(const RoundId& round) const {
  static const std::string sql =
      PartialSums().select + " WHERE job = ? AND round = ? AND attempt = ? ORDER BY replica";
  return List(sql, ReadPartialSum, round.job, round.number, round.attempt);
}

absl::Status SqlRows::PutPartialSum(const PartialSumRecord& record) {
  const RoundId& id = record.round;
  const std::string text = PartialSumText(id, record.replica);
  MUSTER_ASSIGN_OR_RETURN(Statement put, PreparePut(PartialSums(), record.row_version));
  put.BindAll(id.job, id.number, id.attempt, record.replica, record.row_version + 1, record.blob);
  return Put(std::move(put), PartialSums(), text, record.row_version,
             MissingParent("partial sum", text, "round " + id.ToString()), id.job, id.number,
             id.attempt, record.replica);
}

absl::Status SqlRows::DeletePartialSums(const RoundId& round) {
  static constexpr char kDelete[] =
      "DELETE FROM partial_sum WHERE job = ? AND round = ? AND attempt = ?";
  MUSTER_ASSIGN_OR_RETURN(Statement remove, db_.Prepare(kDelete));
  return remove.BindAll(round.job, round.number, round.attempt).Run();
}

}  // namespace muster
