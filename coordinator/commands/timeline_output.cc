#include "coordinator/commands/timeline_output.h"

namespace muster::commands {

nlohmann::json TimelineJson(const NewTimeline& timeline) {
  nlohmann::json jobs = nlohmann::json::array();
  for (const Continued& job : timeline.jobs) {
    jobs.push_back({{"before", job.before.value()}, {"now", job.now.value()}});
  }
  return {{"jobs", std::move(jobs)},
          {"finished_jobs", timeline.finished_jobs},
          {"revoked_tokens", timeline.revoked_tokens}};
}

void PrintTimeline(std::ostream& out, const NewTimeline& timeline) {
  for (const Continued& job : timeline.jobs) {
    out << "job " << job.before.value() << " goes on as " << job.now.value() << "\n";
  }
  out << "open join tokens that were revoked: " << timeline.revoked_tokens << "\n"
      << "What was done after the backup is lost: revoke again what was revoked since, and\n"
      << "let devices that enrolled since enrol again.\n";
}

}  // namespace muster::commands
