#include "coordinator/upkeep/checks/database.h"

#include "coordinator/store/open_store.h"

namespace muster::checks {
namespace {

constexpr Duration kStuckAfter = std::chrono::hours(1);

Finding CheckSchema(const DoctorOptions& options, Results& results) {
  const auto schema = InspectSchema(options.store_url, options.state_dir);
  if (!schema.ok()) {
    AddError(results, "schema", schema.status());
    return Finding::kProblem;
  }
  if (schema->found > schema->newest) {
    Add(results, "schema", Finding::kProblem,
        StrCat("version ", schema->found, " is newer than this program's ", schema->newest),
        "run the newer program");
    return Finding::kProblem;
  }
  if (!schema->pending.empty()) {
    Add(results, "schema", Finding::kWarning,
        StrCat("version ", schema->found, ", this program's is ", schema->newest),
        "muster-coordinator migrate");
    return Finding::kWarning;
  }
  Add(results, "schema", Finding::kFine, StrCat("version ", schema->found));
  return Finding::kFine;
}

void JudgeServerClock(Duration ahead, Results& results) {
  if (std::chrono::abs(ahead) <= kServerClockSlack) {
    return Add(results, "clock", Finding::kFine, "the database server's is this machine's");
  }
  const double seconds = std::chrono::duration<double>(std::chrono::abs(ahead)).count();
  Add(results, "clock", Finding::kProblem,
      StrCat("the database server's is ", seconds, " s ",
             ahead > Duration::zero() ? "ahead of" : "behind", " this machine's"),
      "set the one that is wrong, best by NTP: certificates, deadlines and tokens depend on it");
}

}  // namespace

void JudgeDatabase(const DatabaseState& state, Results& results) {
  const bool server = state.clock_ahead.has_value();
  if (state.read_only) {
    Add(results, "database", Finding::kProblem, StrCat(state.name, " takes no writes"),
        "see why default_transaction_read_only is on: for the server, the database or the role");
  } else {
    Add(results, "database", Finding::kFine,
        StrCat(state.name, server ? " answers and takes writes" : " finds no damage", "; it has ",
               state.bytes >> 20, " MiB"));
  }
  if (server) JudgeServerClock(*state.clock_ahead, results);
}

Finding CheckDatabase(const DoctorOptions& options, Results& results) {
  const auto state = InspectDatabase(options.store_url, options.state_dir);
  if (!state.ok()) {
    AddError(results, "database", state.status(),
             absl::IsUnavailable(state.status())
                 ? "see that the server runs, takes writes and is where --store says"
                 : "");
    AddUnchecked(results, {"schema"}, Finding::kProblem, "the database cannot be read");
    return Finding::kProblem;
  }
  JudgeDatabase(*state, results);
  return CheckSchema(options, results);
}

void CheckClock(const StoreReader& reader, Timestamp now, Results& results) {
  const auto newest = reader.ListAudit({}, {.limit = 1});
  if (!newest.ok()) return AddError(results, "clock", newest.status());
  if (!newest->empty() && newest->front().at > now + kClockSlack) {
    return Add(results, "clock", Finding::kProblem,
               StrCat("it is ", now.ToString(), ", but something was done at ",
                      newest->front().at.ToString()),
               "set the clock: certificates, deadlines and tokens depend on it");
  }
  Add(results, "clock", Finding::kFine, StrCat("it is ", now.ToString()));
}

void CheckTasks(const StoreReader& reader, Timestamp now, Results& results) {
  const auto due = reader.NextTaskDue();
  if (!due.ok()) return AddError(results, "tasks", due.status());
  if (due->has_value() && **due + kStuckAfter < now) {
    return Add(results, "tasks", Finding::kWarning,
               StrCat("one is due since ", (*due)->ToString(), " and nobody does it"),
               "see that a coordinator runs, and its log for why it fails");
  }
  Add(results, "tasks", Finding::kFine, "none is overdue");
}

}  // namespace muster::checks
