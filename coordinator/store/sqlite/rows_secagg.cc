// What secure aggregation keeps: one row for a session, one for each message.
#include "coordinator/store/names.h"
#include "coordinator/store/sqlite/sqlite_rows.h"

namespace muster {
namespace {

const Table& Sessions() {
  static const Table table =
      MakeTable("secagg_session", {"job", "round", "attempt"},
                {"row_version", "params", "roster_root", "sharers", "survivors"});
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

Statement& BindSet(Statement& statement, const secagg::ClientSet& set) {
  return set.empty() ? statement.BindNull() : statement.BindBytes(set);
}

}  // namespace

absl::StatusOr<SecAggSessionRecord> SqliteRows::FindSecAggSession(const RoundId& round) const {
  return Find(Sessions(), round.ToString(), ReadSession, round.job, round.number, round.attempt);
}

absl::StatusOr<SecAggMessageRecord> SqliteRows::FindSecAggMessage(const RoundId& round,
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

absl::StatusOr<std::vector<SecAggMessageRecord>> SqliteRows::ListSecAggMessages(
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

absl::StatusOr<std::vector<DeviceId>> SqliteRows::ListSecAggSenders(const RoundId& round,
                                                                    SecAggStep step) const {
  static const std::string sql = StrCat("SELECT device", kWhereStep, " ORDER BY device");
  return List(sql, ReadSender, round.job, round.number, round.attempt, SecAggStepName(step));
}

absl::Status SqliteRows::PutSecAggSession(const SecAggSessionRecord& record) {
  const RoundId& id = record.round;
  MUSTER_RETURN_IF_ERROR(
      CheckVersion(Sessions(), id.ToString(), record.row_version, id.job, id.number, id.attempt));
  if (record.row_version > 0) {
    MUSTER_ASSIGN_OR_RETURN(const SecAggSessionRecord stored, FindSecAggSession(id));
    if (!stored.survivors.empty() && stored.survivors != record.survivors) {
      return SurvivorsAreFinal(id.ToString());
    }
  }
  MUSTER_ASSIGN_OR_RETURN(Statement put, db_.Prepare(Sessions().upsert));
  put.BindAll(id.job, id.number, id.attempt, record.row_version + 1);
  put.BindBytes(record.params).Bind(record.roster_root);
  BindSet(put, record.sharers);
  BindSet(put, record.survivors);
  const absl::Status status = put.Run();
  if (absl::IsFailedPrecondition(status)) {
    return MissingParent("the secure aggregation session", id.ToString(), "round " + id.ToString());
  }
  return status;
}

absl::Status SqliteRows::AddSecAggMessage(const SecAggMessageRecord& record) {
  static constexpr char kInsert[] =
      "INSERT INTO secagg_message (job, round, attempt, step, device, message)"
      " VALUES (?, ?, ?, ?, ?, ?)";
  const RoundId& id = record.round;
  MUSTER_ASSIGN_OR_RETURN(Statement insert, db_.Prepare(kInsert));
  insert.BindAll(id.job, id.number, id.attempt, SecAggStepName(record.step), record.device);
  const absl::Status status = insert.BindBytes(record.message).Run();
  if (absl::IsAlreadyExists(status)) {
    return RecordExists(SecAggMessageText(record.step), record.device.value());
  }
  if (absl::IsFailedPrecondition(status)) {
    return MissingParent(SecAggMessageText(record.step), record.device.value(),
                         "the session of round " + id.ToString());
  }
  return status;
}

absl::Status SqliteRows::DeleteSecAggMessages(const RoundId& round) {
  static constexpr char kDelete[] =
      "DELETE FROM secagg_message WHERE job = ? AND round = ? AND attempt = ?";
  MUSTER_ASSIGN_OR_RETURN(Statement remove, db_.Prepare(kDelete));
  return remove.BindAll(round.job, round.number, round.attempt).Run();
}

}  // namespace muster
