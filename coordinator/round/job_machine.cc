#include "coordinator/round/job_machine.h"

#include <utility>

#include "proto/core/strings.h"

namespace muster {
namespace {

JobOutcome StepRunning(const JobSpec& spec, const JobRunning& state, const JobEvent& event,
                       Timestamp now) {
  if (const auto* e = std::get_if<RoundWasCommitted>(&event)) {
    if (e->round != state.round || e->attempt != state.attempt) {
      return Ignored{"another round is open"};
    }
    std::vector<JobEffect> effects;
    const bool last = state.round >= spec.rounds || e->budget_spent;
    if (EvaluatesRound(spec, e->round) || (last && spec.evaluation.enabled)) {
      effects.push_back(RequestEvaluation{e->version, e->round});
    }
    if (!last) {
      effects.push_back(OpenNextRound{state.round + 1, 1, e->version});
      return JobTransition{JobRunning{state.round + 1, 1, e->version}, std::move(effects)};
    }
    if (effects.empty()) return JobTransition{JobSucceeded{e->version, now}, {}};
    return JobTransition{JobFinishing{e->version}, std::move(effects)};
  }
  if (const auto* e = std::get_if<RoundWasAbandoned>(&event)) {
    if (e->round != state.round || e->attempt != state.attempt) {
      return Ignored{"another round is open"};
    }
    if (e->budget_spent) {
      return JobTransition{
          JobFailed{state.version, now,
                    StrCat("round ", e->round, " was abandoned because ", e->reason,
                           ", and the privacy budget allows no further attempt")},
          {}};
    }
    if (state.attempt >= spec.round.max_attempts) {
      return JobTransition{
          JobFailed{state.version, now,
                    StrCat("round ", e->round, " was abandoned ", state.attempt,
                           " times, the last time because ", e->reason,
                           "; see `muster fleet ls` for who is there, or lower round.clients"
                           " and round.quorum")},
          {}};
    }
    return JobTransition{JobRunning{state.round, state.attempt + 1, state.version},
                         {OpenNextRound{state.round, state.attempt + 1, state.version}}};
  }
  if (const auto* e = std::get_if<CancelRequested>(&event)) {
    return JobTransition{
        JobCancelled{state.version, now, e->by},
        {CancelOpenRound{state.round, state.attempt, StrCat("cancelled by ", e->by)}}};
  }
  return Ignored{"an evaluation does not end a running job"};
}

JobOutcome StepFinishing(const JobFinishing& state, const JobEvent& event, Timestamp now) {
  if (const auto* e = std::get_if<EvaluationEnded>(&event)) {
    if (e->version != state.version) return Ignored{"the evaluation of an earlier version"};
    return JobTransition{JobSucceeded{state.version, now}, {}};
  }
  if (const auto* e = std::get_if<CancelRequested>(&event)) {
    return JobTransition{JobCancelled{state.version, now, e->by}, {}};
  }
  return Ignored{"all rounds are committed"};
}

}  // namespace

JobOutcome Step(const JobSpec& spec, const JobState& state, const JobEvent& event, Timestamp now) {
  if (const auto* running = std::get_if<JobRunning>(&state)) {
    return StepRunning(spec, *running, event, now);
  }
  if (const auto* finishing = std::get_if<JobFinishing>(&state)) {
    return StepFinishing(*finishing, event, now);
  }
  return Ignored{StrCat("the job has ended: ", PhaseName(state))};
}

bool IsTerminal(const JobState& state) {
  return !std::holds_alternative<JobRunning>(state) && !std::holds_alternative<JobFinishing>(state);
}

std::string_view PhaseName(const JobState& state) {
  static constexpr std::string_view kNames[] = {"running", "finishing", "succeeded", "failed",
                                                "cancelled"};
  return kNames[state.index()];
}

uint32_t LatestVersion(const JobState& state) {
  return std::visit([](const auto& s) { return s.version; }, state);
}

bool EvaluatesRound(const JobSpec& spec, uint32_t round) {
  if (!spec.evaluation.enabled) return false;
  return round == spec.rounds || round % spec.evaluation.every == 0;
}

}  // namespace muster
