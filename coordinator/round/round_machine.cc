#include "coordinator/round/round_machine.h"

#include <algorithm>
#include <cmath>
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

RoundTransition Abandon(const Collecting& state, std::string reason, Timestamp now) {
  return {Abandoned{.opened = state.opened,
                    .closed = now,
                    .invited = state.invited,
                    .reported = state.reported,
                    .failed = state.failed,
                    .reason = reason},
          {TellRoundAbandoned{reason}}};
}

RoundTransition Close(const Collecting& state, Timestamp now) {
  return {Aggregating{.opened = state.opened,
                      .closed = now,
                      .invited = state.invited,
                      .reported = state.reported,
                      .failed = state.failed,
                      .examples = state.examples},
          {CloseSum{}}};
}

// No report can come any more: everyone who may be invited was, and everyone has answered.
bool NobodyLeft(const RoundPolicy& policy, const Collecting& state) {
  return state.invited >= policy.invite_target && state.reported + state.failed >= state.invited;
}

RoundOutcome AfterChange(const RoundPolicy& policy, Collecting next, Timestamp now) {
  if (next.reported >= policy.goal) return Close(next, now);
  if (NobodyLeft(policy, next)) {
    if (next.reported >= policy.quorum) return Close(next, now);
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
            if (state.reported >= policy.quorum) return Close(state, now);
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

RoundOutcome StepAggregating(const Aggregating& state, const RoundEvent& event, Timestamp now) {
  if (const auto* stored = std::get_if<ModelStored>(&event)) {
    return RoundTransition{Committed{.opened = state.opened,
                                     .closed = state.closed,
                                     .invited = state.invited,
                                     .reported = state.reported,
                                     .failed = state.failed,
                                     .examples = state.examples,
                                     .model_version = stored->version},
                           {TellRoundCommitted{stored->version}}};
  }
  if (const auto* cancelled = std::get_if<RoundCancelled>(&event)) {
    return RoundTransition{Abandoned{.opened = state.opened,
                                     .closed = now,
                                     .invited = state.invited,
                                     .reported = state.reported,
                                     .failed = state.failed,
                                     .reason = cancelled->reason},
                           {TellRoundAbandoned{cancelled->reason}}};
  }
  return Ignored{"the sum is closed"};
}

}  // namespace

RoundPolicy PolicyOf(const RoundConfig& config) {
  const auto target = static_cast<uint32_t>(std::ceil(config.clients * config.over_selection));
  return {.goal = config.clients,
          .invite_target = std::max(config.clients, target),
          .quorum = config.quorum,
          .deadline = config.deadline};
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
                        [](const Aggregating&) { return std::string_view("aggregating"); },
                        [](const Committed&) { return std::string_view("committed"); },
                        [](const Abandoned&) { return std::string_view("abandoned"); },
                    },
                    state);
}

}  // namespace muster
