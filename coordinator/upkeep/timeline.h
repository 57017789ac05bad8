// A store that went back in time (decisions/01-a-restored-coordinator.md).
// Between a backup and its restore the coordinator went on, and devices remember it: invocations
// that they answered, sessions of secure aggregation that they took part in, generations of desired
// state. Nothing of that may be met again.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/drive/context.h"

namespace muster {

// How far the generation of desired state jumps. No fleet sees that many promotions between a
// backup and its restore.
inline constexpr uint64_t kGenerationJump = uint64_t{1} << 32;

struct Continued {
  JobId before;
  JobId now;
};

struct NewTimeline {
  std::vector<Continued> jobs;
  uint64_t finished_jobs = 0;   // that only waited for their last evaluation
  uint64_t revoked_tokens = 0;  // that were open
};

// In one transaction: jobs that were not over end, their open rounds abandoned with all that they
// held; each goes on from its newest model version as a new job, whose rounds, invocations and
// sessions have names that no device ever saw. The generation of desired state jumps. Join tokens
// that were open are revoked, because they may have been used up or revoked since. The audit log
// says so, and that it was from `backup`.
absl::StatusOr<NewTimeline> BeginNewTimeline(StateStore& store, RandomSource& random,
                                             const DriveOptions& options, Timestamp now,
                                             const std::string& backup);

}  // namespace muster
