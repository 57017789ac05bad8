#include "coordinator/round/round_machine.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "proto/core/strings.h"

namespace muster {
namespace {

template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

template <typename State>
RoundTransition Abandon(const State& state, std::string reason, Timestamp now) {
  return {Abandoned{.opened = state.opened,
                    .closed = now,
                    .invited = state.invited,
                    .reported = state.reported,
                    .failed = state.failed,
                    .reason = reason},
          {TellRoundAbandoned{reason}}};
}

template <typename State>
RoundTransition CloseTheSum(const State& state, uint64_t examples, Timestamp now) {
  return {Aggregating{.opened = state.opened,
                      .closed = now,
                      .invited = state.invited,
                      .reported = state.reported,
                      .failed = state.failed,
                      .examples = examples},
          {CloseSum{}}};
}

// The next exchange of secure aggregation, among `members`.
template <typename Next, typename State>
Next NextPhase(const RoundPolicy& policy, const State& state, uint32_t members, Timestamp now) {
  return Next{.opened = state.opened,
              .closes = now + policy.phase_deadline,
              .invited = state.invited,
              .reported = members,
              .failed = state.failed};
}

bool IsSecure(const RoundPolicy& policy) { return policy.aggregation != AggregationMode::kClear; }

RoundTransition Close(const RoundPolicy& policy, const Collecting& state, Timestamp now) {
  if (!IsSecure(policy)) return CloseTheSum(state, state.examples, now);
  return {NextPhase<Sharing>(policy, state, state.reported, now), {FreezeRoster{}}};
}

RoundTransition Advance(const RoundPolicy& policy, const Sharing& state, Timestamp now) {
  return {NextPhase<Masking>(policy, state, state.answered, now), {FreezeSharers{}}};
}
RoundTransition Advance(const RoundPolicy& policy, const Masking& state, Timestamp now) {
  if (policy.aggregation == AggregationMode::kMalicious) {
    return {NextPhase<Agreeing>(policy, state, state.answered, now), {FreezeSurvivors{}}};
  }
  return {NextPhase<Unmasking>(policy, state, state.answered, now), {FreezeSurvivors{}}};
}
RoundTransition Advance(const RoundPolicy& policy, const Agreeing& state, Timestamp now) {
  return {NextPhase<Unmasking>(policy, state, state.reported, now), {}};
}

// No report can come any more: everyone who may be invited was, and everyone has answered.
bool NobodyLeft(const RoundPolicy& policy, const Collecting& state) {
  return state.invited >= policy.invite_target && state.reported + state.failed >= state.invited;
}

RoundOutcome AfterChange(const RoundPolicy& policy, Collecting next, Timestamp now) {
  if (next.reported >= policy.goal) return Close(policy, next, now);
  if (NobodyLeft(policy, next)) {
    if (next.reported >= policy.quorum) return Close(policy, next, now);
    return Abandon(next,
                   StrCat(next.failed, " of ", next.invited, " invited devices failed; ",
                          next.reported, " updates came in and the quorum is ", policy.quorum),
                   now);
  }
  return RoundTransition{next, {}};
}

RoundOutcome StepCollecting(const RoundPolicy& policy, const Collecting& state,
                            const RoundEvent& event, Timestamp now) {
  return std::visit(
      Overloaded{
          [&](const DeviceInvited&) -> RoundOutcome {
            if (auto why = WhyNotInvite(policy, state, now)) return Ignored{*why};
            Collecting next = state;
            ++next.invited;
            return RoundTransition{next, {}};
          },
          [&](const DevicesReported& e) -> RoundOutcome {
            if (state.reported + state.failed + e.count > state.invited) {
              return Ignored{"more reports than invitations"};
            }
            Collecting next = state;
            next.reported += e.count;
            next.examples += e.examples;
            return AfterChange(policy, next, now);
          },
          [&](const DevicesAnswered&) -> RoundOutcome {
            return Ignored{"the roster is still open"};
          },
          [&](const DeviceFailed&) -> RoundOutcome {
            if (state.reported + state.failed >= state.invited) {
              return Ignored{"every invited device has answered already"};
            }
            Collecting next = state;
            ++next.failed;
            return AfterChange(policy, next, now);
          },
          [&](const RoundDeadline&) -> RoundOutcome {
            if (now < state.closes) return Ignored{"the deadline has not come"};
            if (state.reported >= policy.quorum) return Close(policy, state, now);
            return Abandon(state,
                           StrCat("the deadline came with ", state.reported, " of ", state.invited,
                                  " updates; the quorum is ", policy.quorum),
                           now);
          },
          [&](const ModelStored&) -> RoundOutcome { return Ignored{"the sum is still open"}; },
          [&](const RoundCancelled& e) -> RoundOutcome { return Abandon(state, e.reason, now); },
      },
      event);
}

// What is missing in an exchange that ended below what it needs.
template <typename State>
std::string TooFew(const RoundPolicy& policy, const State& state) {
  if constexpr (std::is_same_v<State, Unmasking>) {
    return StrCat(state.answered, " of ", state.reported,
                  " devices revealed their shares: too few to take the masks off");
  }
  return StrCat(state.answered, " of ", state.reported, " devices went on from ",
                PhaseName(RoundState(state)), "; the quorum is ", policy.quorum);
}

// An exchange among frozen members: goes on as soon as nobody is left to wait for, or at its
// deadline with a quorum. Unmasking goes on when the shares suffice, and never without.
template <typename State>
RoundOutcome StepExchange(const RoundPolicy& policy, const State& state, const RoundEvent& event,
                          Timestamp now) {
  constexpr bool kUnmasking = std::is_same_v<State, Unmasking>;
  const auto end = [&](const State& last) -> RoundOutcome {
    if constexpr (!kUnmasking) {
      if (last.answered >= policy.quorum) return Advance(policy, last, now);
    }
    return Abandon(last, TooFew(policy, last), now);
  };
  const auto after_change = [&](const State& next) -> RoundOutcome {
    if (next.answered + next.lost >= next.reported) return end(next);
    return RoundTransition{next, {}};
  };
  if (const auto* answered = std::get_if<DevicesAnswered>(&event)) {
    if (state.answered + state.lost + answered->count > state.reported) {
      return Ignored{"more answers than members"};
    }
    State next = state;
    next.answered += answered->count;
    if constexpr (kUnmasking) {
      if (answered->enough) return CloseTheSum(next, 0, now);
    }
    return after_change(next);
  }
  if (const auto* failed = std::get_if<DeviceFailed>(&event)) {
    State next = state;
    if (next.failed < next.invited) ++next.failed;
    if (!failed->took_part) return RoundTransition{next, {}};
    if (next.answered + next.lost >= next.reported) return Ignored{"every member has answered"};
    ++next.lost;
    return after_change(next);
  }
  if (std::holds_alternative<RoundDeadline>(event)) {
    if (now < state.closes) return Ignored{"the deadline has not come"};
    return end(state);
  }
  if (const auto* cancelled = std::get_if<RoundCancelled>(&event)) {
    return Abandon(state, cancelled->reason, now);
  }
  return Ignored{StrCat("the round is ", PhaseName(RoundState(state)))};
}

RoundOutcome StepAggregating(const Aggregating& state, const RoundEvent& event, Timestamp now) {
  if (const auto* stored = std::get_if<ModelStored>(&event)) {
    return RoundTransition{Committed{.opened = state.opened,
                                     .closed = state.closed,
                                     .invited = state.invited,
                                     .reported = state.reported,
                                     .failed = state.failed,
                                     .examples = std::max(state.examples, stored->examples),
                                     .model_version = stored->version},
                           {TellRoundCommitted{stored->version}}};
  }
  if (const auto* cancelled = std::get_if<RoundCancelled>(&event)) {
    return Abandon(state, cancelled->reason, now);
  }
  return Ignored{"the sum is closed"};
}

}  // namespace

RoundPolicy PolicyOf(const RoundConfig& config, const AggregationConfig& aggregation) {
  const auto target = static_cast<uint32_t>(std::ceil(config.clients * config.over_selection));
  return {.goal = config.clients,
          .invite_target = std::max(config.clients, target),
          .quorum = config.quorum,
          .deadline = config.deadline,
          .aggregation = aggregation.mode,
          .phase_deadline = aggregation.secure() ? aggregation.phase_deadline : Duration{}};
}

Collecting OpenRound(const RoundPolicy& policy, Timestamp now) {
  return {.opened = now, .closes = now + policy.deadline};
}

RoundOutcome Step(const RoundPolicy& policy, const RoundState& state, const RoundEvent& event,
                  Timestamp now) {
  return std::visit(
      Overloaded{
          [&](const Collecting& s) { return StepCollecting(policy, s, event, now); },
          [&](const Aggregating& s) { return StepAggregating(s, event, now); },
          [&](const auto& exchange) { return StepExchange(policy, exchange, event, now); },
          [&](const Committed&) { return RoundOutcome(Ignored{"the round is committed"}); },
          [&](const Abandoned&) { return RoundOutcome(Ignored{"the round was abandoned"}); },
      },
      state);
}

std::optional<std::string> WhyNotInvite(const RoundPolicy& policy, const RoundState& state,
                                        Timestamp now) {
  const auto* collecting = std::get_if<Collecting>(&state);
  if (collecting == nullptr) return "the round is closed";
  if (now >= collecting->closes) return "the deadline has come";
  if (collecting->invited >= policy.invite_target) {
    return StrCat("all ", policy.invite_target, " places are taken");
  }
  return std::nullopt;
}

bool IsTerminal(const RoundState& state) {
  return std::holds_alternative<Committed>(state) || std::holds_alternative<Abandoned>(state);
}

std::string_view PhaseName(const RoundState& state) {
  return std::visit(Overloaded{
                        [](const Collecting&) { return std::string_view("collecting"); },
                        [](const Sharing&) { return std::string_view("sharing"); },
                        [](const Masking&) { return std::string_view("masking"); },
                        [](const Agreeing&) { return std::string_view("agreeing"); },
                        [](const Unmasking&) { return std::string_view("unmasking"); },
                        [](const Aggregating&) { return std::string_view("aggregating"); },
                        [](const Committed&) { return std::string_view("committed"); },
                        [](const Abandoned&) { return std::string_view("abandoned"); },
                    },
                    state);
}

std::optional<Timestamp> ClosesAt(const RoundState& state) {
  return std::visit(
      [](const auto& s) -> std::optional<Timestamp> {
        if constexpr (requires { s.closes; }) return s.closes;
        return std::nullopt;
      },
      state);
}

Timestamp LastAnswerDue(const RoundPolicy& policy, const Collecting& opened) {
  constexpr int kExchanges = 4;  // sharing, masking, agreeing, unmasking
  return IsSecure(policy) ? opened.closes + policy.phase_deadline * kExchanges : opened.closes;
}

}  // namespace muster
