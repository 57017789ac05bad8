// The job machine: rounds one after another until the model is done, as a pure step function.
//
//   Running{round, attempt} --round committed--> Running{round + 1} ... --last--> Finishing (the
//   last evaluation is out) --evaluated, or its deadline--> Succeeded.   Any of them --> Failed |
//   Cancelled.   A round that leaves no privacy budget for another one is the last.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coordinator/round/round_machine.h"
#include "proto/core/ids.h"
#include "proto/core/job_spec.h"
#include "proto/core/time.h"

namespace muster {

struct JobRunning {
  uint32_t round = 1;  // open now
  uint32_t attempt = 1;
  uint32_t version = 0;  // newest model version of this job
  friend bool operator==(const JobRunning&, const JobRunning&) = default;
};
struct JobFinishing {
  uint32_t version = 0;
  friend bool operator==(const JobFinishing&, const JobFinishing&) = default;
};
struct JobSucceeded {
  uint32_t version = 0;
  Timestamp at;
  friend bool operator==(const JobSucceeded&, const JobSucceeded&) = default;
};
struct JobFailed {
  uint32_t version = 0;
  Timestamp at;
  std::string reason;
  friend bool operator==(const JobFailed&, const JobFailed&) = default;
};
struct JobCancelled {
  uint32_t version = 0;
  Timestamp at;
  std::string by;
  friend bool operator==(const JobCancelled&, const JobCancelled&) = default;
};
using JobState = std::variant<JobRunning, JobFinishing, JobSucceeded, JobFailed, JobCancelled>;

// Events.
struct RoundWasCommitted {
  uint32_t round = 0, attempt = 0;
  uint32_t version = 0;
  bool budget_spent = false;  // one more round would exceed the privacy budget
};
struct RoundWasAbandoned {
  uint32_t round = 0, attempt = 0;
  std::string reason;
  bool budget_spent = false;
};
struct EvaluationEnded {
  uint32_t version = 0;
};  // result, failure or deadline
struct CancelRequested {
  std::string by;
};
using JobEvent =
    std::variant<RoundWasCommitted, RoundWasAbandoned, EvaluationEnded, CancelRequested>;

// Effects.
struct OpenNextRound {
  uint32_t round = 0, attempt = 0;
  uint32_t base_version = 0;
};
struct RequestEvaluation {
  uint32_t version = 0, round = 0;
};
struct CancelOpenRound {
  uint32_t round = 0, attempt = 0;
  std::string reason;
};
using JobEffect = std::variant<OpenNextRound, RequestEvaluation, CancelOpenRound>;

struct JobTransition {
  JobState next;
  std::vector<JobEffect> effects;
};
using JobOutcome = std::variant<JobTransition, Ignored>;

// A submitted job starts as JobRunning{1, 1, version 0}; its first effect is OpenNextRound{1, 1,
// 0}.
JobOutcome Step(const JobSpec& spec, const JobState& state, const JobEvent& event, Timestamp now);

bool IsTerminal(const JobState& state);
std::string_view PhaseName(const JobState& state);
uint32_t LatestVersion(const JobState& state);
bool EvaluatesRound(const JobSpec& spec, uint32_t round);

}  // namespace muster
