// jobs ls, show and cancel.
#include "coordinator/cli/commands.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/text.h"
#include "proto/core/ids.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

std::string PhaseOf(const v1::Job& job) {
  return ShortName(*v1::JobPhase_descriptor(), job.phase());
}
std::string ModelOf(const v1::Job& job) {
  return job.latest_version() == 0 ? "-" : StrCat(job.name(), "@", job.latest_version());
}

absl::StatusOr<ExitCode> List(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(
      const auto jobs,
      AllPages<v1::ListJobsResponse>(*api, v1::ListJobsRequest(),
                                     [](v1::ListJobsResponse& r) { return r.mutable_jobs(); }));
  if (context.json()) {
    PrintJson(context, ListView("jobs", jobs.jobs()));
    return kExitDone;
  }
  if (jobs.jobs().empty()) {
    context.err << "no jobs yet; `muster run JOB.yaml` submits one" << std::endl;
    return kExitDone;
  }
  Table table({{"JOB"},
               {"NAME"},
               {"PHASE"},
               {"ROUNDS", Table::Align::kRight},
               {"MODEL"},
               {"SUBMITTED"},
               {"BY"}});
  const Timestamp now = SystemClock().Now();
  for (const v1::Job& job : jobs.jobs()) {
    const std::string phase = PhaseOf(job);
    table.Add({job.id(),
               job.name(),
               {phase, ColorOf(phase)},
               StrCat(job.rounds_committed(), "/", job.rounds_total()),
               ModelOf(job),
               FormatAge(job.submitted_unix_us(), now),
               job.submitted_by()});
  }
  context.out << table.Render(context.color());
  return kExitDone;
}

// Rounds come in pages, by number.
absl::StatusOr<v1::GetJobResponse> GetWhole(Api& api, const std::string& id) {
  v1::GetJobRequest request;
  request.set_job(id);
  MUSTER_ASSIGN_OR_RETURN(v1::GetJobResponse whole, api.Call(request));
  int page = whole.rounds_size();
  while (static_cast<size_t>(page) >= limits::kMaxPageSize &&
         static_cast<size_t>(whole.rounds_size()) < kMaxListed) {
    // The last round's attempts may continue on the next page: it is asked for again.
    const uint32_t last = whole.rounds(whole.rounds_size() - 1).number();
    while (whole.rounds_size() > 1 && whole.rounds(whole.rounds_size() - 1).number() == last) {
      whole.mutable_rounds()->RemoveLast();
    }
    request.set_from_round(last);
    MUSTER_ASSIGN_OR_RETURN(v1::GetJobResponse next, api.Call(request));
    page = next.rounds_size();
    for (auto& round : *next.mutable_rounds()) whole.add_rounds()->Swap(&round);
    *whole.mutable_job() = next.job();
  }
  return whole;
}

absl::StatusOr<ExitCode> Show(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const JobId id, JobId::Parse(context.arguments.operands[0]));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(const v1::GetJobResponse shown, GetWhole(*api, id.value()));
  if (context.json()) {
    PrintJson(context, ViewOf(shown));
    return kExitDone;
  }
  const v1::Job& job = shown.job();
  const std::string phase = PhaseOf(job);
  context.out << "job          " << job.id() << "\n"
              << "name         " << job.name() << "\n"
              << "phase        " << Paint(phase, ColorOf(phase), context.color()) << "\n";
  if (!job.reason().empty()) context.out << "reason       " << Printable(job.reason()) << "\n";
  context.out << "rounds       " << job.rounds_committed() << " of " << job.rounds_total() << "\n"
              << "model        " << ModelOf(job) << "\n"
              << "cohort       "
              << (shown.spec().cohort().empty() ? "every device" : shown.spec().cohort()) << "\n"
              << "aggregation  " << Printable(job.aggregation()) << "\n";
  if (job.has_privacy()) {
    context.out << "privacy      " << PrivacyLine(job.privacy()) << "\n";
  }
  context.out << "submitted    " << FormatTime(job.submitted_unix_us()) << " by "
              << Printable(job.submitted_by()) << "\n"
              << "finished     " << FormatTime(job.finished_unix_us()) << "\n";
  if (!shown.rounds().empty()) context.out << "\n";
  for (const v1::RoundSummary& round : shown.rounds()) {
    context.out << RoundLine(round, job.rounds_total()) << "\n";
  }
  return kExitDone;
}

absl::StatusOr<ExitCode> Cancel(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const JobId id, JobId::Parse(context.arguments.operands[0]));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  v1::CancelJobRequest request;
  request.set_job(id.value());
  MUSTER_ASSIGN_OR_RETURN(const v1::CancelJobResponse response, api->Call(request));
  if (context.json()) {
    PrintJson(context, ViewOf(response));
  } else {
    context.out << EndLine(response.job()) << std::endl;
  }
  return kExitDone;
}

}  // namespace

std::vector<Command> JobCommands() {
  return {
      {.words = "jobs ls",
       .operands = "",
       .summary = "list jobs, newest first",
       .description = "Lists the coordinator's jobs, newest first. With --json: {\"jobs\": "
                      "[...]}.",
       .options = {},
       .examples = "muster jobs ls\nmuster jobs ls --json | jq -r '.jobs[0].id'",
       .run = List},
      {.words = "jobs show",
       .operands = "JOB",
       .operands_min = 1,
       .operands_max = 1,
       .summary = "show a job and its rounds",
       .description =
           "Shows a job, what the coordinator sees of its updates, what its differential "
           "privacy has spent, and each of its rounds with clients, examples, metrics, "
           "bytes and time. With --json: {\"job\", \"spec\", \"rounds\"}.",
       .options = {},
       .examples = "muster jobs show j-4f2a\nmuster jobs show j-4f2a --json | jq "
                   "'.rounds[].evaluation.accuracy'",
       .run = Show},
      {.words = "jobs cancel",
       .operands = "JOB",
       .operands_min = 1,
       .operands_max = 1,
       .summary = "cancel a job",
       .description = "Ends a job. The model versions of its committed rounds stay. Cancelling "
                      "again changes nothing.",
       .options = {},
       .examples = "muster jobs cancel j-4f2a",
       .run = Cancel},
  };
}

}  // namespace muster::cli
