// How `restore` and `timeline new` tell what became of jobs and tokens.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>

#include "coordinator/upkeep/timeline.h"

namespace muster::commands {

// {"jobs": [{"before", "now"}], "finished_jobs", "revoked_tokens"}
nlohmann::json TimelineJson(const NewTimeline& timeline);
void PrintTimeline(std::ostream& out, const NewTimeline& timeline);

}  // namespace muster::commands
