#include "coordinator/store/names.h"
#include "coordinator/store/sql/json_text.h"
#include "coordinator/store/sql/sql_rows.h"

namespace muster {
namespace {

const Table& Rounds() {
  static const Table table = MakeTable("round", {"job", "number", "attempt"},
                                       {"row_version",
                                        "goal",
                                        "invite_target",
                                        "quorum",
                                        "deadline_us",
                                        "aggregation",
                                        "phase_deadline_us",
                                        "phase",
                                        "opened_us",
                                        "closes_us",
                                        "closed_us",
                                        "invited",
                                        "reported",
                                        "failed",
                                        "answered",
                                        "lost",
                                        "examples",
                                        "committed_version",
                                        "reason",
                                        "base_package",
                                        "base_weights",
                                        "optimizer_state",
                                        "model_version",
                                        "metrics",
                                        "evaluation",
                                        "bytes_up",
                                        "bytes_down"},
                                       {.parent = "SELECT 1 FROM job WHERE id = ?1"});
  return table;
}

const Table& Invocations() {
  static const Table table = MakeTable(
      "invocation", {"id"},
      {"row_version",   "job",      "round",      "attempt",     "function",    "device",
       "package",       "seed",     "created_us", "deadline_us", "traceparent", "status",
       "update_digest", "examples", "metrics",    "wall_us",     "cpu_us",      "peak_memory_bytes",
       "bytes_down",    "bytes_up", "cold_start", "reason",      "finished_us"},
      {.parent = "SELECT 1 FROM round WHERE job = ?3 AND number = ?4 AND attempt = ?5"});
  return table;
}

// The columns of a round's state that not every phase has.
struct StateColumns {
  const char* phase = "";
  std::optional<Timestamp> closes, closed;
  std::optional<uint64_t> examples;
  std::optional<uint32_t> answered, lost;
  std::optional<uint32_t> version;
  std::optional<std::string> reason;
};

struct ToColumns {
  StateColumns operator()(const Collecting& s) const {
    return {.phase = "collecting", .closes = s.closes, .examples = s.examples};
  }
  StateColumns operator()(const Sharing& s) const { return Exchange("sharing", s); }
  StateColumns operator()(const Masking& s) const { return Exchange("masking", s); }
  StateColumns operator()(const Agreeing& s) const { return Exchange("agreeing", s); }
  StateColumns operator()(const Unmasking& s) const { return Exchange("unmasking", s); }
  StateColumns operator()(const Aggregating& s) const {
    return {.phase = "aggregating", .closed = s.closed, .examples = s.examples};
  }
  StateColumns operator()(const Committed& s) const {
    return {.phase = "committed",
            .closed = s.closed,
            .examples = s.examples,
            .version = s.model_version};
  }
  StateColumns operator()(const Abandoned& s) const {
    return {.phase = "abandoned", .closed = s.closed, .reason = s.reason};
  }
  template <typename State>
  static StateColumns Exchange(const char* phase, const State& s) {
    return {.phase = phase, .closes = s.closes, .answered = s.answered, .lost = s.lost};
  }
};

std::optional<RoundState> EmptyState(std::string_view phase) {
  if (phase == "collecting") return Collecting{};
  if (phase == "sharing") return Sharing{};
  if (phase == "masking") return Masking{};
  if (phase == "agreeing") return Agreeing{};
  if (phase == "unmasking") return Unmasking{};
  if (phase == "aggregating") return Aggregating{};
  if (phase == "committed") return Committed{};
  if (phase == "abandoned") return Abandoned{};
  return std::nullopt;
}

// Reads into `field` where the phase has it, and passes over the column where it does not.
#define READ_IF_HELD(s, field, read)     \
  if constexpr (requires { s.field; }) { \
    s.field = read;                      \
  } else {                               \
    row.Skip();                          \
  }

RoundState ReadState(Row& row) {
  RoundState state = row.Enum<RoundState>(EmptyState);
  std::visit(
      [&](auto& s) {
        s.opened = row.Time();
        READ_IF_HELD(s, closes, row.Time());
        READ_IF_HELD(s, closed, row.Time());
        s.invited = row.U32();
        s.reported = row.U32();
        s.failed = row.U32();
        READ_IF_HELD(s, answered, row.U32());
        READ_IF_HELD(s, lost, row.U32());
        READ_IF_HELD(s, examples, row.U64());
        READ_IF_HELD(s, model_version, row.U32());
        READ_IF_HELD(s, reason, row.Text());
      },
      state);
  return state;
}
#undef READ_IF_HELD

RoundRecord ReadRound(Row& row) {
  RoundRecord round;
  round.id.job = row.Name<JobId>();
  round.id.number = row.U32();
  round.id.attempt = row.U32();
  round.row_version = row.U64();
  round.policy.goal = row.U32();
  round.policy.invite_target = row.U32();
  round.policy.quorum = row.U32();
  round.policy.deadline = row.Span();
  round.policy.aggregation = row.Enum<AggregationMode>(ParseAggregationMode);
  round.policy.phase_deadline = row.Span();
  round.state = ReadState(row);
  round.base_package = row.Hash();
  round.base_weights = row.Hash();
  round.optimizer_state = row.Hash();
  round.model_version = row.U32();
  round.metrics = row.Parsed<Metrics>(MetricsFromText);
  round.evaluation = row.Parsed<Metrics>(MetricsFromText);
  round.bytes_up = row.U64();
  round.bytes_down = row.U64();
  return round;
}

InvocationRecord ReadInvocation(Row& row) {
  InvocationRecord invocation;
  invocation.id = row.Name<InvocationId>();
  invocation.row_version = row.U64();
  invocation.round.job = row.Name<JobId>();
  invocation.round.number = row.U32();
  invocation.round.attempt = row.U32();
  invocation.function = row.Enum<FunctionKind>(ParseFunctionKind);
  invocation.device = row.Name<DeviceId>();
  invocation.package = row.Hash();
  invocation.seed = row.U64();
  invocation.created = row.Time();
  invocation.deadline = row.Time();
  invocation.traceparent = row.Text();
  invocation.status = row.Enum<InvocationStatus>(ParseInvocationStatus);
  invocation.update = row.Hash();
  invocation.examples = row.U64();
  invocation.metrics = row.Parsed<Metrics>(MetricsFromText);
  invocation.metering.wall = row.Span();
  invocation.metering.cpu = row.Span();
  invocation.metering.peak_memory_bytes = row.U64();
  invocation.metering.bytes_down = row.U64();
  invocation.metering.bytes_up = row.U64();
  invocation.metering.cold_start = row.Bool();
  invocation.reason = row.Text();
  invocation.finished = row.Time();
  return invocation;
}

}  // namespace

absl::StatusOr<RoundRecord> SqlRows::FindRound(const RoundId& id) const {
  return Find(Rounds(), id.ToString(), ReadRound, id.job, id.number, id.attempt);
}

absl::StatusOr<std::vector<RoundRecord>> SqlRows::ListRounds(const JobId& job, uint32_t from,
                                                             size_t limit) const {
  static const std::string sql =
      Rounds().select + " WHERE job = ? AND number >= ? ORDER BY number, attempt LIMIT ?";
  return List(sql, ReadRound, job, from, limit);
}

absl::StatusOr<std::vector<RoundRecord>> SqlRows::ListOpenRounds() const {
  static const std::string sql =
      Rounds().select +
      " WHERE phase NOT IN ('committed', 'abandoned') ORDER BY job, number, attempt";
  return List(sql, ReadRound);
}

absl::Status SqlRows::PutRound(const RoundRecord& record) {
  const RoundId& id = record.id;
  const StateColumns state = std::visit(ToColumns{}, record.state);
  MUSTER_ASSIGN_OR_RETURN(Statement put, PreparePut(Rounds(), record.row_version));
  put.BindAll(id.job, id.number, id.attempt, record.row_version + 1, record.policy.goal,
              record.policy.invite_target, record.policy.quorum, record.policy.deadline,
              AggregationModeName(record.policy.aggregation), record.policy.phase_deadline,
              state.phase);
  std::visit(
      [&](const auto& s) {
        put.BindAll(s.opened, state.closes, state.closed, s.invited, s.reported, s.failed,
                    state.answered, state.lost, state.examples, state.version, state.reason);
      },
      record.state);
  put.BindAll(record.base_package, record.base_weights, record.optimizer_state,
              record.model_version, MetricsToText(record.metrics), MetricsToText(record.evaluation),
              record.bytes_up, record.bytes_down);
  return Put(std::move(put), Rounds(), id.ToString(), record.row_version,
             MissingParent("round", id.ToString(), "job " + id.job.value()), id.job, id.number,
             id.attempt);
}

absl::StatusOr<InvocationRecord> SqlRows::FindInvocation(const InvocationId& id) const {
  return Find(Invocations(), id.value(), ReadInvocation, id);
}

absl::StatusOr<std::vector<InvocationRecord>> SqlRows::ListInvocations(
    const RoundId& round, FunctionKind function) const {
  static const std::string sql =
      Invocations().select +
      " WHERE job = ? AND round = ? AND attempt = ? AND function = ? ORDER BY device";
  return List(sql, ReadInvocation, round.job, round.number, round.attempt,
              FunctionKindText(function));
}

absl::StatusOr<std::vector<InvocationRecord>> SqlRows::ListOpenInvocations(
    const DeviceId& device) const {
  static const std::string sql =
      Invocations().select + " WHERE device = ? AND status = 'open' ORDER BY created_us, id";
  return List(sql, ReadInvocation, device);
}

absl::Status SqlRows::PutInvocation(const InvocationRecord& record) {
  const Metering& metering = record.metering;
  MUSTER_ASSIGN_OR_RETURN(Statement put, PreparePut(Invocations(), record.row_version));
  put.BindAll(record.id, record.row_version + 1, record.round.job, record.round.number,
              record.round.attempt, FunctionKindText(record.function), record.device,
              record.package, record.seed, record.created, record.deadline, record.traceparent,
              InvocationStatusName(record.status), record.update, record.examples,
              MetricsToText(record.metrics), metering.wall, metering.cpu,
              metering.peak_memory_bytes, metering.bytes_down, metering.bytes_up,
              metering.cold_start, record.reason, record.finished);
  const absl::Status missing =
      MissingParent("invocation", record.id.value(), "round " + record.round.ToString());
  const absl::Status status =
      Put(std::move(put), Invocations(), record.id.value(), record.row_version, missing, record.id);
  if (status != missing || !FindRound(record.round).ok()) return status;
  return RecordExists("invocation of this function, round and device", record.id.value());
}

}  // namespace muster
