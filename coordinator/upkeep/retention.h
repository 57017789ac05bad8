// Which rows a policy lets go. Decisions only; garbage.cc carries them out.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/store/state_store.h"
#include "coordinator/upkeep/garbage.h"

namespace muster {

struct RetentionPlan {
  std::set<ModelVersion> gone;       // versions to remove
  std::set<ModelVersion> stateless;  // that stay and lose their optimizer state
  std::vector<JobId> old_jobs;       // ended long ago: their invocations and usage go
  std::vector<std::pair<std::string, uint64_t>> audit;  // chain, and the last row to go
  uint64_t audit_rows = 0;
};

// A version stays if it is one of the newest, promoted and not rolled back, or needed by a job that
// is not over: its newest version, and versions whose evaluation is out. An optimizer state stays
// with the newest version of a model, and with the newest of a job that is not over.
absl::StatusOr<RetentionPlan> PlanRetention(const StoreReader& reader, const GarbagePolicy& policy,
                                            Timestamp now);

}  // namespace muster
