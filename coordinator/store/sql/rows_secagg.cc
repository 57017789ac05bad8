// What secure aggregation keeps: one row for a session, one for each message.
#include "coordinator/store/names.h"
#include "coordinator/store/sql/sql_rows.h"

namespace muster {
namespace {

const Table& Sessions() {
  static const Table table =
      MakeTable("secagg_session", {"job", "round", "attempt"},
                {"row_version", "params", "roster_root", "sharers", "survivors"},
                {.parent = "SELECT 1 FROM round WHERE job = ?1 AND number = ?2 AND attempt = ?3"});
  return table;
}

constexpr char kWhereStep[] =
    " FROM secagg_message WHERE job = ? AND round = ? AND attempt = ?"
    " AND step = ?";

SecAggSessionRecord ReadSession(Row& row) {
  SecAggSessionRecord session;
  session.round.job = row.Name<JobId>();
  session.round.number = row.U32();
  session.round.attempt = row.U32();
  session.row_version = row.U64();
  session.params = row.Bytes();
  session.roster_root = row.Hash();
  session.sharers = row.Bytes();
  session.survivors = row.Bytes();
  return session;
}

// Everything but the round and the step, which the caller asked for.
SecAggMessageRecord ReadMessage(Row& row) {
  SecAggMessageRecord record;
  record.device = row.Name<DeviceId>();
  record.message = row.Bytes();
  return record;
}

DeviceId ReadSender(Row& row) { return row.Name<DeviceId>(); }

}  // namespace

absl::StatusOr<SecAggSessionRecord> SqlRows::FindSecAggSession(const RoundId& round) const {
  return Find(Sessions(), round.ToString(), ReadSession, round.job, round.number, round.attempt);
}

absl::StatusOr<SecAggMessageRecord> SqlRows::FindSecAggMessage(const RoundId& round,
                                                               SecAggStep step,
                                                               const DeviceId& device) const {
  static const std::string sql = StrCat("SELECT device, message", kWhereStep, " AND device = ?");
  MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare(sql));
  find.BindAll(round.job, round.number, round.attempt, SecAggStepName(step), device);
  MUSTER_ASSIGN_OR_RETURN(std::optional<SecAggMessageRecord> record, find.One(ReadMessage));
  if (!record.has_value()) return NoSuchRecord(SecAggMessageText(step), device.value());
  record->round = round;
  record->step = step;
  return *std::move(record);
}

absl::StatusOr<std::vector<SecAggMessageRecord>> SqlRows::ListSecAggMessages(
    const RoundId& round, SecAggStep step) const {
  static const std::string sql = StrCat("SELECT device, message", kWhereStep, " ORDER BY device");
  MUSTER_ASSIGN_OR_RETURN(auto list, List(sql, ReadMessage, round.job, round.number, round.attempt,
                                          SecAggStepName(step)));
  for (SecAggMessageRecord& record : list) {
    record.round = round;
    record.step = step;
  }
  return list;
}

absl::StatusOr<std::vector<DeviceId>> SqlRows::ListSecAggSenders(const RoundId& round,
                                                                 SecAggStep step) const {
  static const std::string sql = StrCat("SELECT device", kWhereStep, " ORDER BY device");
  return List(sql, ReadSender, round.job, round.number, round.attempt, SecAggStepName(step));
}

absl::Status SqlRows::PutSecAggSession(const SecAggSessionRecord& record) {
  const RoundId& id = record.round;
  if (record.row_version > 0) {
    MUSTER_ASSIGN_OR_RETURN(const SecAggSessionRecord stored, FindSecAggSession(id));
    MUSTER_RETURN_IF_ERROR(
        CheckRowVersion(Sessions().what, id.ToString(), stored.row_version, record.row_version));
    if (!stored.survivors.empty() && stored.survivors != record.survivors) {
      return SurvivorsAreFinal(id.ToString());
    }
  }
  MUSTER_ASSIGN_OR_RETURN(Statement put, PreparePut(Sessions(), record.row_version));
  put.BindAll(id.job, id.number, id.attempt, record.row_version + 1);
  put.BindBytes(record.params).Bind(record.roster_root);
  put.BindBytesOrNull(record.sharers).BindBytesOrNull(record.survivors);
  return Put(
      std::move(put), Sessions(), id.ToString(), record.row_version,
      MissingParent("the secure aggregation session", id.ToString(), "round " + id.ToString()),
      id.job, id.number, id.attempt);
}

absl::Status SqlRows::AddSecAggMessage(const SecAggMessageRecord& record) {
  static constexpr char kInsert[] =
      "INSERT INTO secagg_message (job, round, attempt, step, device, message)"
      " SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM secagg_session"
      " WHERE job = ?1 AND round = ?2 AND attempt = ?3) ON CONFLICT DO NOTHING";
  const RoundId& id = record.round;
  MUSTER_ASSIGN_OR_RETURN(Statement insert, db_.Prepare(kInsert));
  insert.BindAll(id.job, id.number, id.attempt, SecAggStepName(record.step), record.device);
  MUSTER_ASSIGN_OR_RETURN(const uint64_t added, insert.BindBytes(record.message).RunCounting());
  if (added == 1) return absl::OkStatus();
  const absl::Status session = FindSecAggSession(id).status();
  if (session.ok()) return RecordExists(SecAggMessageText(record.step), record.device.value());
  if (!absl::IsNotFound(session)) return session;
  return MissingParent(SecAggMessageText(record.step), record.device.value(),
                       "the session of round " + id.ToString());
}

absl::Status SqlRows::DeleteSecAggMessages(const RoundId& round) {
  static constexpr char kDelete[] =
      "DELETE FROM secagg_message WHERE job = ? AND round = ? AND attempt = ?";
  MUSTER_ASSIGN_OR_RETURN(Statement remove, db_.Prepare(kDelete));
  return remove.BindAll(round.job, round.number, round.attempt).Run();
}

}  // namespace muster
