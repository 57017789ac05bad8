// Drives the agent's step function by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "client/agent/core.h"

namespace muster {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

inline constexpr Timestamp kStart{1'700'000'000'000'000};
inline Invocation MakeInvocation(const std::string& id, Duration until_deadline = minutes(5)) {
  Invocation invocation;
  invocation.id = InvocationId::Trusted(id);
  invocation.job = JobId::Trusted("job");
  invocation.round = 1;
  invocation.attempt = 1;
  invocation.deadline = kStart + until_deadline;
  return invocation;
}

inline DesiredState MakeDesired(uint64_t generation) {
  DesiredState desired;
  desired.generation = generation;
  desired.models.push_back({ModelName::Trusted("m"), static_cast<uint32_t>(generation), {}, true});
  return desired;
}

// Drives the step function and remembers the effects of the last step.
class AgentCore : public testing::Test {
 protected:
  AgentCore() { Begin({}); }

  void Begin(Recovered recovered) {
    if (recovered.identity.not_after == Timestamp{}) {
      recovered.identity = {kStart - hours(1), kStart + hours(24 * 7)};
    }
    Adopt(StartAgent(pace_, recovered, now_, random_));
  }
  void Feed(const AgentEvent& event) { Adopt(Step(pace_, state_, event, now_, random_)); }
  void Adopt(AgentTransition transition) {
    state_ = std::move(transition.next);
    effects_ = std::move(transition.effects);
  }
  // Lets time pass to the next wake-up and wakes.
  void Wake() {
    now_ = std::max(now_, NextWake(pace_, state_));
    Feed(Woken{});
  }
  // Until a check-in is out.
  void Ask() {
    for (int i = 0; i < 100 && !Has<AskCoordinator>(); ++i) Wake();
    ASSERT_TRUE(Has<AskCoordinator>());
  }
  void Answer(std::vector<KnownInvocation> invocations, bool in_round = false,
              std::optional<DesiredState> desired = std::nullopt, Duration next = seconds(10)) {
    Feed(CheckInAnswered{std::move(invocations), std::move(desired), next, in_round});
  }
  template <typename E>
  bool Has() const {
    return Count<E>() > 0;
  }
  template <typename E>
  size_t Count() const {
    size_t count = 0;
    for (const auto& effect : effects_) count += std::holds_alternative<E>(effect) ? 1 : 0;
    return count;
  }
  template <typename E>
  const E& Get() const {
    for (const auto& effect : effects_) {
      if (const auto* found = std::get_if<E>(&effect)) return *found;
    }
    throw std::logic_error("no such effect");
  }
  template <typename E>
  size_t IndexOf() const {
    for (size_t i = 0; i < effects_.size(); ++i) {
      if (std::holds_alternative<E>(effects_[i])) return i;
    }
    throw std::logic_error("no such effect");
  }

  Pace pace_;
  SeededRandom random_{7};
  Timestamp now_ = kStart;
  AgentState state_;
  std::vector<AgentEffect> effects_;
};

}  // namespace muster
