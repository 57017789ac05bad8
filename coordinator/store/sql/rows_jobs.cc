#include "coordinator/store/sql/sql_rows.h"
#include "proto/codec/job_codec.h"

namespace muster {
namespace {

const Table& Jobs() {
  static const Table table = [] {
    Table made =
        MakeTable("job", {"id"},
                  {"row_version", "phase", "round", "attempt", "version", "ended_us", "reason",
                   "cancelled_by", "submitted_us", "submitted_by", "idempotency_key",
                   "initial_package", "rounds_committed", "releases", "clip"});
    // The specification lies in a table of its own.
    made.select =
        "SELECT id, row_version, phase, round, attempt, version, ended_us, reason, cancelled_by,"
        " submitted_us, submitted_by, idempotency_key, initial_package, rounds_committed, "
        "releases, clip,"
        " spec"
        " FROM job JOIN job_spec ON job_spec.job = job.id";
    made.by_key = made.select + " WHERE id = ?";
    return made;
  }();
  return table;
}

// The columns of a job's state; which of them are there depends on the phase.
struct StateColumns {
  const char* phase = "";
  std::optional<uint32_t> round, attempt;
  uint32_t version = 0;
  std::optional<Timestamp> ended;
  std::optional<std::string> reason, cancelled_by;
};

struct ToColumns {
  StateColumns operator()(const JobRunning& s) const {
    return {.phase = "running", .round = s.round, .attempt = s.attempt, .version = s.version};
  }
  StateColumns operator()(const JobFinishing& s) const {
    return {.phase = "finishing", .version = s.version};
  }
  StateColumns operator()(const JobSucceeded& s) const {
    return {.phase = "succeeded", .version = s.version, .ended = s.at};
  }
  StateColumns operator()(const JobFailed& s) const {
    return {.phase = "failed", .version = s.version, .ended = s.at, .reason = s.reason};
  }
  StateColumns operator()(const JobCancelled& s) const {
    return {.phase = "cancelled", .version = s.version, .ended = s.at, .cancelled_by = s.by};
  }
};

std::optional<JobState> EmptyState(std::string_view phase) {
  if (phase == "running") return JobRunning{};
  if (phase == "finishing") return JobFinishing{};
  if (phase == "succeeded") return JobSucceeded{};
  if (phase == "failed") return JobFailed{};
  if (phase == "cancelled") return JobCancelled{};
  return std::nullopt;
}

// Columns that the phase does not have are NULL by the table's own checks.
JobState ReadState(Row& row) {
  JobState state = row.Enum<JobState>(EmptyState);
  auto* running = std::get_if<JobRunning>(&state);
  if (running != nullptr) {
    running->round = row.U32();
    running->attempt = row.U32();
  } else {
    row.Skip();
    row.Skip();
  }
  std::visit([&](auto& s) { s.version = row.U32(); }, state);
  std::visit(
      [&](auto& s) {
        if constexpr (requires { s.at; }) {
          s.at = row.Time();
        } else {
          row.Skip();
        }
      },
      state);
  const std::string reason = row.Text();
  const std::string cancelled_by = row.Text();
  if (auto* failed = std::get_if<JobFailed>(&state)) failed->reason = reason;
  if (auto* cancelled = std::get_if<JobCancelled>(&state)) cancelled->by = cancelled_by;
  return state;
}

JobRecord ReadJob(Row& row) {
  JobRecord job;
  job.id = row.Name<JobId>();
  job.row_version = row.U64();
  job.state = ReadState(row);
  job.submitted = row.Time();
  job.submitted_by = row.Text();
  job.idempotency_key = row.Text();
  job.initial_package = row.Hash();
  job.rounds_committed = row.U32();
  job.releases = row.U32();
  job.clip = row.Real();
  job.spec = row.Parsed<JobSpec>(ParseJobSpec);
  return job;
}

}  // namespace

absl::StatusOr<JobRecord> SqlRows::FindJob(const JobId& id) const {
  return Find(Jobs(), id.value(), ReadJob, id);
}

absl::StatusOr<JobRecord> SqlRows::FindJobByKey(const std::string& key) const {
  static const std::string sql = Jobs().select + " WHERE idempotency_key = ?";
  MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare(sql));
  MUSTER_ASSIGN_OR_RETURN(std::optional<JobRecord> job, find.Bind(key).One(ReadJob));
  if (!job.has_value()) return NoSuchRecord("job with idempotency key", key);
  return *std::move(job);
}

absl::StatusOr<std::vector<JobRecord>> SqlRows::ListJobs(const Page& page) const {
  static const std::string order = " ORDER BY submitted_us DESC, id DESC LIMIT ?";
  static const std::string first = Jobs().select + order;
  if (page.after.empty()) return List(first, ReadJob, page.limit);
  static const std::string next = Jobs().select + " WHERE (submitted_us, id) < (?, ?)" + order;
  static constexpr char kFindLast[] = "SELECT submitted_us FROM job WHERE id = ?";
  MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare(kFindLast));
  MUSTER_ASSIGN_OR_RETURN(const bool found, find.Bind(page.after).Step());
  if (!found) return NoSuchRecord("job", page.after);
  return List(next, ReadJob, find.row().I64(), page.after, page.limit);
}

absl::Status SqlRows::PutJob(const JobRecord& record) {
  std::optional<std::string> key;
  if (!record.idempotency_key.empty()) {
    key = record.idempotency_key;
    static constexpr char kFindOwner[] = "SELECT 1 FROM job WHERE idempotency_key = ? AND id <> ?";
    MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare(kFindOwner));
    MUSTER_ASSIGN_OR_RETURN(const bool taken, find.BindAll(*key, record.id).Step());
    if (taken) return RecordExists("job with idempotency key", *key);
  }
  const std::string spec = SerializeJobSpec(record.spec);
  // Nothing is stored that could not be read back. It does not change later.
  if (record.row_version == 0) {
    MUSTER_RETURN_IF_ERROR(Annotate(ParseJobSpec(spec).status(), "the job's specification"));
  }
  const StateColumns state = std::visit(ToColumns{}, record.state);
  {
    MUSTER_ASSIGN_OR_RETURN(Statement put, PreparePut(Jobs(), record.row_version));
    put.BindAll(record.id, record.row_version + 1, state.phase, state.round, state.attempt,
                state.version, state.ended, state.reason, state.cancelled_by, record.submitted,
                record.submitted_by, key, record.initial_package, record.rounds_committed,
                record.releases, record.clip);
    MUSTER_RETURN_IF_ERROR(Put(std::move(put), Jobs(), record.id.value(), record.row_version,
                               Unexplained(), record.id));
  }
  static constexpr char kPutSpec[] =
      "INSERT INTO job_spec (job, spec) VALUES (?, ?)"
      " ON CONFLICT (job) DO UPDATE SET spec = excluded.spec WHERE job_spec.spec <> excluded.spec";
  MUSTER_ASSIGN_OR_RETURN(Statement put, db_.Prepare(kPutSpec));
  return put.Bind(record.id).BindBytes(spec).Run();
}

}  // namespace muster
