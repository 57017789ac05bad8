#include "coordinator/store/names.h"
#include "coordinator/store/sql/sql_rows.h"

namespace muster {
namespace {

constexpr char kSelect[] =
    "SELECT key, kind, job, round, attempt, model_version, due_us, leased_until_us, fence,"
    " attempts FROM task";

TaskRecord ReadTask(Row& row) {
  TaskRecord task;
  task.key = row.Text();
  task.kind = row.Enum<TaskKind>(ParseTaskKind);
  task.round.job = row.Name<JobId>();
  task.round.number = row.U32();
  task.round.attempt = row.U32();
  task.model_version = row.U32();
  task.due = row.Time();
  task.leased_until = row.Time();
  task.fence = row.U64();
  task.attempts = row.U32();
  return task;
}

int64_t ReadNumber(Row& row) { return row.I64(); }

std::optional<int64_t> ReadOptional(Row& row) {
  if (row.Null()) return std::nullopt;
  return row.I64();
}

}  // namespace

absl::StatusOr<std::optional<Timestamp>> SqlRows::NextTaskDue() const {
  MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare("SELECT min(ready_us) FROM task"));
  MUSTER_ASSIGN_OR_RETURN(const auto least, find.One(ReadOptional));
  if (!least.has_value() || !least->has_value()) return std::optional<Timestamp>();
  return std::optional<Timestamp>(Timestamp{**least});
}

absl::StatusOr<TaskRecord> SqlRows::FindTask(const std::string& key) const {
  static const std::string sql = std::string(kSelect) + " WHERE key = ?";
  MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare(sql));
  MUSTER_ASSIGN_OR_RETURN(std::optional<TaskRecord> task, find.Bind(key).One(ReadTask));
  if (!task.has_value()) return NoSuchRecord("task", key);
  return *std::move(task);
}

absl::Status SqlRows::AddTask(const TaskRecord& task) {
  static constexpr char kInsert[] =
      "INSERT INTO task (key, kind, job, round, attempt, model_version, due_us,"
      " leased_until_us, fence, attempts) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0)"
      " ON CONFLICT (key) DO NOTHING";
  MUSTER_ASSIGN_OR_RETURN(Statement insert, db_.Prepare(kInsert));
  return insert
      .BindAll(task.key, TaskKindName(task.kind), task.round.job, task.round.number,
               task.round.attempt, task.model_version, task.due)
      .Run();
}

absl::Status SqlRows::DeleteTask(const std::string& key) {
  MUSTER_ASSIGN_OR_RETURN(Statement remove, db_.Prepare("DELETE FROM task WHERE key = ?"));
  return remove.Bind(key).Run();
}

absl::StatusOr<std::vector<TaskRecord>> SqlRows::ClaimTasks(Timestamp now, Timestamp leased_until,
                                                            size_t limit) {
  static const std::string due =
      std::string(kSelect) + " WHERE ready_us <= ? ORDER BY due_us, key LIMIT ?";
  // What another replica is claiming at this moment is passed over.
  static const std::string unclaimed = due + " FOR UPDATE SKIP LOCKED";
  MUSTER_ASSIGN_OR_RETURN(std::vector<TaskRecord> claimed,
                          List(db_.ManyWriters() ? unclaimed : due, ReadTask, now, limit));
  for (TaskRecord& task : claimed) {
    task.leased_until = leased_until;
    MUSTER_ASSIGN_OR_RETURN(task.fence, NextFence());
    ++task.attempts;
    MUSTER_ASSIGN_OR_RETURN(
        Statement lease,
        db_.Prepare("UPDATE task SET leased_until_us = ?, fence = ?, attempts = ? WHERE key = ?"));
    MUSTER_RETURN_IF_ERROR(
        lease.BindAll(task.leased_until, task.fence, task.attempts, task.key).Run());
  }
  return claimed;
}

absl::Status SqlRows::CompleteTask(const std::string& key, uint64_t fence) {
  static constexpr char kDelete[] = "DELETE FROM task WHERE key = ? AND fence = ? AND fence > 0";
  MUSTER_ASSIGN_OR_RETURN(Statement remove, db_.Prepare(kDelete));
  MUSTER_ASSIGN_OR_RETURN(const uint64_t held, remove.BindAll(key, fence).RunCounting());
  return held > 0 ? absl::OkStatus() : StaleFence(key, fence);
}

absl::Status SqlRows::PostponeTask(const std::string& key, uint64_t fence, Timestamp due) {
  static constexpr char kFree[] =
      "UPDATE task SET due_us = ?, leased_until_us = 0, fence = ?"
      " WHERE key = ? AND fence = ? AND fence > 0";
  MUSTER_ASSIGN_OR_RETURN(const uint64_t next, NextFence());
  MUSTER_ASSIGN_OR_RETURN(Statement free, db_.Prepare(kFree));
  MUSTER_ASSIGN_OR_RETURN(const uint64_t held, free.BindAll(due, next, key, fence).RunCounting());
  return held > 0 ? absl::OkStatus() : StaleFence(key, fence);
}

absl::StatusOr<uint64_t> SqlRows::CurrentGeneration() const { return Counter("generation"); }

absl::StatusOr<uint64_t> SqlRows::NextGeneration() { return Count("generation"); }

absl::Status SqlRows::SkipGenerations(uint64_t by) { return Count("generation", by).status(); }

absl::StatusOr<uint64_t> SqlRows::Counter(std::string_view name) const {
  MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare("SELECT value FROM counter WHERE name = ?"));
  MUSTER_ASSIGN_OR_RETURN(const std::optional<int64_t> value, find.Bind(name).One(ReadNumber));
  if (!value.has_value()) return absl::DataLossError("a row of table counter is missing");
  return static_cast<uint64_t>(*value);
}

absl::StatusOr<uint64_t> SqlRows::Count(std::string_view name, uint64_t by) {
  static constexpr char kCount[] =
      "UPDATE counter SET value = value + ? WHERE name = ? RETURNING value";
  MUSTER_ASSIGN_OR_RETURN(Statement count, db_.Prepare(kCount));
  MUSTER_ASSIGN_OR_RETURN(const auto value, count.BindAll(by, name).One(ReadNumber));
  if (!value.has_value()) return absl::DataLossError("a row of table counter is missing");
  MUSTER_RETURN_IF_ERROR(count.Run());
  return static_cast<uint64_t>(*value);
}

// A sequence gives numbers without waiting for the transactions beside this one.
absl::StatusOr<uint64_t> SqlRows::NextFence() {
  if (!db_.ManyWriters()) return Count("fence");
  MUSTER_ASSIGN_OR_RETURN(Statement next, db_.Prepare("SELECT nextval('task_fence')"));
  MUSTER_ASSIGN_OR_RETURN(const auto value, next.One(ReadNumber));
  if (!value.has_value()) return absl::DataLossError("sequence task_fence gives no number");
  return static_cast<uint64_t>(*value);
}

}  // namespace muster
