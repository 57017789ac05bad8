#include "client/agent/core.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "client/agent/text.h"

namespace muster {
namespace {

using text::Cat;

constexpr Timestamp kNever{std::numeric_limits<int64_t>::max()};

template <typename T, typename V>
bool Is(const V& variant) {
  return std::holds_alternative<T>(variant);
}

// One call of Step: collects effects while the state changes.
class Stepper {
 public:
  Stepper(const Pace& pace, AgentState state, Timestamp now, RandomSource& random)
      : pace_(pace), state_(std::move(state)), now_(now), random_(random) {}

  void On(const Woken&) {}

  void On(const CheckInAnswered& answer) {
    if (!Is<Asking>(state_.line)) return Ignore("a check-in's answer that nobody waits for");
    const Timestamp since = std::get<Asking>(state_.line).since;
    if (state_.failures > 0) Info("the coordinator answers again");
    state_.failures = 0;
    state_.in_round = answer.in_round;
    for (const KnownInvocation& known : answer.invocations) Take(known);
    if (answer.desired && answer.desired->generation > state_.told_generation) {
      effects_.push_back(RememberDesired{*answer.desired});
      state_.told_generation = answer.desired->generation;
      state_.desired = answer.desired;
      state_.reconcile_not_before = now_;
      state_.reconcile_failures = 0;
    }
    if (state_.in_round) {
      const bool busy = Is<Reconciling>(state_.lane) || Is<Reporting>(state_.lane);
      state_.line = Waiting{since + (busy ? pace_.in_round_busy : pace_.in_round_min)};
    } else {
      const Duration suggested = std::clamp(answer.next, pace_.suggested_min, pace_.suggested_max);
      state_.line = Waiting{now_ + Jittered(suggested, pace_.jitter, random_)};
    }
  }

  void On(const CheckInFailed& failure) {
    if (!Is<Asking>(state_.line)) return Ignore("a check-in's failure that nobody waits for");
    if (IsRefusal(failure.code)) return Refuse(failure.message);
    if (state_.failures == 0) {
      Warn(Cat("checking in failed: ", failure.message, "; trying again with backoff"));
    }
    // A round goes on without a word from us, but after an outage nobody may hold the line for it.
    state_.in_round = false;
    const Duration delay =
        AtLeastAsked(Backoff(pace_.backoff_base, pace_.backoff_cap, state_.failures, random_),
                     failure.retry_after);
    state_.failures = std::min(state_.failures + 1, 62u);
    state_.line = Waiting{now_ + std::max(delay, pace_.in_round_min)};
  }

  void On(const InvocationReady& ready) {
    if (!Leave<Executing>(ready.id, [](const Executing& e) { return e.invocation.id; })) return;
    state_.unsent.push_back({ready.id, executed_.deadline, now_, 0});
  }

  void On(const ExecutionBroke& broke) {
    if (!Leave<Executing>(broke.id, [](const Executing& e) { return e.invocation.id; })) return;
    Warn(Cat("running ", broke.id.value(), " broke off: ", broke.message, "; it is tried again"));
    state_.pending.push_back(executed_);
    state_.execute_not_before = now_ + pace_.execute_retry;
  }

  void On(const AnswerTaken& taken) {
    if (!Leave<Sending>(taken.id, [](const Sending& s) { return s.id; })) return;
    std::erase_if(state_.unsent, [&](const Unsent& u) { return u.id == taken.id; });
  }

  void On(const AnswerFailed& failed) {
    if (!Leave<Sending>(failed.id, [](const Sending& s) { return s.id; })) return;
    auto unsent = std::find_if(state_.unsent.begin(), state_.unsent.end(),
                               [&](const Unsent& u) { return u.id == failed.id; });
    if (unsent == state_.unsent.end()) return;
    if (IsRefusal(failed.code)) {
      CheckNow();
    } else if (!IsTransient(failed.code)) {
      Warn(Cat("the answer of ", failed.id.value(), " was turned down: ", failed.message));
      effects_.push_back(ForgetInvocation{failed.id, failed.message});
      state_.unsent.erase(unsent);
      return;
    }
    if (unsent->failures == 0) {
      Warn(Cat("sending the answer of ", failed.id.value(), " failed: ", failed.message,
               "; it is kept and sent again"));
    }
    unsent->not_before =
        now_ +
        AtLeastAsked(
            Backoff(pace_.backoff_base, pace_.backoff_cap,
                    std::exchange(unsent->failures, std::min(unsent->failures + 1, 62u)), random_),
            failed.retry_after);
  }

  void On(const ReconcileEnded& ended) {
    if (!Is<Reconciling>(state_.lane) ||
        std::get<Reconciling>(state_.lane).generation != ended.generation) {
      return Ignore("the end of a reconciliation that does not run");
    }
    state_.lane = Free{};
    state_.report_due = true;
    state_.report_not_before = now_;
    const bool current = state_.desired && state_.desired->generation == ended.generation;
    if (!current) return;  // a newer one came meanwhile: it goes next
    if (!ended.retry) {
      state_.desired.reset();
      state_.reconcile_failures = 0;
      return;
    }
    state_.reconcile_not_before = now_ + Backoff(pace_.reconcile_base, pace_.reconcile_cap,
                                                 state_.reconcile_failures, random_);
    state_.reconcile_failures = std::min(state_.reconcile_failures + 1, 62u);
  }

  void On(const ReportSent& sent) {
    if (!Is<Reporting>(state_.lane)) return Ignore("a report that nobody sent");
    state_.lane = Free{};
    state_.report_failures = 0;
    state_.report_due = sent.more;
    state_.report_not_before = now_;
  }

  void On(const ReportFailed& failed) {
    if (!Is<Reporting>(state_.lane)) return Ignore("a report's failure that nobody waits for");
    state_.lane = Free{};
    if (IsRefusal(failed.code)) CheckNow();
    if (state_.report_failures == 0) {
      Warn(Cat("reporting failed: ", failed.message, "; trying again with backoff"));
    }
    state_.report_not_before = now_ + AtLeastAsked(Backoff(pace_.backoff_base, pace_.backoff_cap,
                                                           state_.report_failures, random_),
                                                   failed.retry_after);
    state_.report_failures = std::min(state_.report_failures + 1, 62u);
  }

  void On(const ReportWanted&) {
    if (state_.report_due) return;
    state_.report_due = true;
    state_.report_not_before = now_;
  }

  void On(const IdentityLoaded& loaded) {
    const bool renewed = Is<Renewing>(state_.line);
    if (!renewed && !Is<Reloading>(state_.line)) return Ignore("an identity that nobody asked for");
    state_.identity = loaded.validity;
    state_.renew_failures = 0;
    state_.renew_not_before = now_;
    if (renewed) Info("the device's certificate was renewed");
    if (!renewed && Expired()) return RefuseExpired();
    state_.line = Waiting{now_};
  }

  void On(const RenewalFailed& failed) {
    if (Is<Reloading>(state_.line)) return Refuse(failed.message);
    if (!Is<Renewing>(state_.line)) return Ignore("a renewal's failure that nobody waits for");
    if (IsRefusal(failed.code)) return Refuse(failed.message);
    Warn(Cat("renewing the certificate failed: ", failed.message, "; trying again with backoff"));
    state_.renew_not_before = now_ + AtLeastAsked(Backoff(pace_.reconcile_base, pace_.renew_cap,
                                                          state_.renew_failures, random_),
                                                  failed.retry_after);
    state_.renew_failures = std::min(state_.renew_failures + 1, 62u);
    state_.line = Waiting{now_};
  }

  // What time alone makes due, after every event.
  AgentTransition Finish() {
    DropLate();
    DriveLane();  // first: with work to do there is nothing to ask for
    DriveLine();
    if (now_ >= state_.metering_at) {
      effects_.push_back(CollectMetering{});
      state_.metering_at = now_ + pace_.metering;
    }
    return {std::move(state_), std::move(effects_)};
  }

  void Recover(const Recovered& recovered) {
    state_.identity = recovered.identity;
    state_.told_generation = recovered.told_generation;
    state_.desired = recovered.desired;
    state_.report_due = recovered.report_due;
    state_.report_not_before = state_.reconcile_not_before = state_.renew_not_before = now_;
    state_.metering_at = now_ + pace_.metering;
    state_.asked_at = now_;
    state_.line = Waiting{now_ + Uniform(pace_.first_check_in)};
    for (const KnownInvocation& known : recovered.unfinished) {
      if (known.stage == Stage::kReady) {
        state_.unsent.push_back({known.invocation.id, known.invocation.deadline, now_, 0});
      } else if (known.stage != Stage::kAnswered) {
        state_.pending.push_back(known.invocation);
      }
    }
  }

 private:
  void Take(const KnownInvocation& known) {
    const InvocationId& id = known.invocation.id;
    if (Busy(id)) return;
    if (known.stage == Stage::kReady || known.stage == Stage::kAnswered) {
      // The coordinator asks again: it gets the stored answer.
      state_.unsent.push_back({id, known.invocation.deadline, now_, 0});
      return;
    }
    if (known.invocation.deadline <= now_) {
      effects_.push_back(RememberInvocation{known.invocation});
      return Fail(id, known.invocation.deadline);
    }
    if (state_.pending.size() >= kMaxPendingInvocations) {
      return Warn(Cat("invocation ", id.value(), " left with the coordinator: ",
                      kMaxPendingInvocations, " wait here already"));
    }
    if (!known.stage) effects_.push_back(RememberInvocation{known.invocation});
    state_.pending.push_back(known.invocation);
  }

  // It waits, runs, or is being answered here already.
  bool Busy(const InvocationId& id) const {
    if (Is<Executing>(state_.lane) && std::get<Executing>(state_.lane).invocation.id == id)
      return true;
    if (Is<Sending>(state_.lane) && std::get<Sending>(state_.lane).id == id) return true;
    return std::any_of(state_.pending.begin(), state_.pending.end(),
                       [&](const Invocation& o) { return o.id == id; }) ||
           std::any_of(state_.unsent.begin(), state_.unsent.end(),
                       [&](const Unsent& u) { return u.id == id; });
  }

  template <typename T, typename Get>
  bool Leave(const InvocationId& id, Get get) {
    if (!Is<T>(state_.lane) || get(std::get<T>(state_.lane)) != id) {
      Ignore(Cat("news of ", id.value(), ", which the lane does not work on"));
      return false;
    }
    if constexpr (std::is_same_v<T, Executing>) {
      executed_ = std::get<Executing>(state_.lane).invocation;
    }
    state_.lane = Free{};
    return true;
  }

  void DropLate() {
    for (auto invocation = state_.pending.begin(); invocation != state_.pending.end();) {
      if (invocation->deadline > now_) {
        ++invocation;
        continue;
      }
      Fail(invocation->id, invocation->deadline);
      invocation = state_.pending.erase(invocation);
    }
    for (auto unsent = state_.unsent.begin(); unsent != state_.unsent.end();) {
      const bool sending =
          Is<Sending>(state_.lane) && std::get<Sending>(state_.lane).id == unsent->id;
      // One try is always made: only the coordinator knows whether the answer came too late.
      if (sending || unsent->deadline > now_ || unsent->failures == 0) {
        ++unsent;
        continue;
      }
      Forget(unsent->id, unsent->deadline);
      unsent = state_.unsent.erase(unsent);
    }
  }
  // Not started, and too late to start: the coordinator is told so.
  void Fail(const InvocationId& id, Timestamp deadline) {
    const std::string reason = LateReason(deadline);
    effects_.push_back(StoreFailure{id, reason});
    state_.unsent.push_back({id, deadline, now_, 0});
    Warn(Cat("invocation ", id.value(), " dropped: ", reason));
  }
  void Forget(const InvocationId& id, Timestamp deadline) {
    const std::string reason = LateReason(deadline);
    effects_.push_back(ForgetInvocation{id, reason});
    Warn(Cat("invocation ", id.value(), " dropped: ", reason));
  }
  std::string LateReason(Timestamp deadline) const {
    return Cat("its deadline ", deadline.ToString(), " passed (this device's clock says ",
               now_.ToString(), ")");
  }

  void DriveLine() {
    if (Is<Refused>(state_.line)) {
      if (now_ < std::get<Refused>(state_.line).retry_at) return;
      state_.line = Reloading{};
      effects_.push_back(Reload{});
      return;
    }
    if (!Is<Waiting>(state_.line)) return;
    if (Expired()) return RefuseExpired();
    if (now_ >= RenewDue()) {
      state_.line = Renewing{};
      effects_.push_back(Renew{});
      return;
    }
    if (now_ < CheckInDue()) return;
    const bool hold = state_.in_round && Is<Free>(state_.lane) && state_.pending.empty();
    effects_.push_back(AskCoordinator{
        state_.told_generation,
        hold ? std::chrono::milliseconds(limits::kMaxCheckInWait) : std::chrono::milliseconds(0)});
    state_.asked_at = now_;
    state_.line = Asking{now_};
  }

  void DriveLane() {
    if (!Is<Free>(state_.lane)) return;
    if (Is<Refused>(state_.line) || Is<Reloading>(state_.line)) return;
    for (const Unsent& unsent : state_.unsent) {
      if (now_ < unsent.not_before) continue;
      effects_.push_back(SendAnswer{unsent.id});
      state_.lane = Sending{unsent.id};
      return;
    }
    const bool reconcile = state_.desired && now_ >= state_.reconcile_not_before;
    const bool runnable = !state_.pending.empty() && now_ >= state_.execute_not_before;
    if (reconcile && (state_.reconcile_next || !runnable)) {
      state_.reconcile_next = false;
      effects_.push_back(Reconcile{*state_.desired});
      state_.lane = Reconciling{state_.desired->generation};
      return;
    }
    if (runnable) {
      state_.reconcile_next = true;
      effects_.push_back(Execute{state_.pending.front()});
      state_.lane = Executing{state_.pending.front()};
      state_.pending.pop_front();
      return;
    }
    if (state_.report_due && now_ >= state_.report_not_before) {
      effects_.push_back(SendReport{});
      state_.lane = Reporting{};
    }
  }

 public:
  // While an invocation runs or is answered there is nothing to ask for, up to a limit.
  Timestamp CheckInDue() const {
    if (!Is<Waiting>(state_.line)) return kNever;
    const Timestamp until = std::get<Waiting>(state_.line).until;
    const bool working =
        Is<Executing>(state_.lane) || Is<Sending>(state_.lane) || !state_.pending.empty();
    return working ? std::max(until, state_.asked_at + pace_.silence_max) : until;
  }
  Timestamp RenewDue() const { return std::max(RenewAt(state_.identity), state_.renew_not_before); }

 private:
  bool Expired() const { return now_ >= state_.identity.not_after; }
  void RefuseExpired() {
    Refuse(Cat("this device's certificate expired at ", state_.identity.not_after.ToString(),
               ": enrol it again with a new token"));
  }
  void Refuse(const std::string& reason) {
    effects_.push_back(
        Say{LogLevel::kError, Cat("the coordinator does not accept this device: ", reason,
                                  "; it asks for no more work and goes on serving its last "
                                  "good models")});
    state_.in_round = false;
    state_.line = Refused{now_ + Jittered(pace_.refused_retry, pace_.jitter, random_)};
  }

  // The next check-in tells whether the device itself is refused.
  void CheckNow() {
    if (Is<Waiting>(state_.line)) state_.line = Waiting{now_};
  }

  Duration AtLeastAsked(Duration backoff, Duration asked) {
    if (asked <= Duration::zero()) return backoff;
    asked = std::min(asked, pace_.suggested_max);
    return std::max(backoff,
                    asked + Uniform(Duration(static_cast<int64_t>(
                                pace_.pushback_jitter * static_cast<double>(asked.count())))));
  }
  Duration Uniform(Duration below) {
    return Duration(static_cast<int64_t>(random_.Unit() * static_cast<double>(below.count())));
  }
  void Info(std::string text) { effects_.push_back(Say{LogLevel::kInfo, std::move(text)}); }
  void Warn(std::string text) { effects_.push_back(Say{LogLevel::kWarning, std::move(text)}); }
  void Ignore(std::string_view what) {
    effects_.push_back(Say{LogLevel::kDebug, Cat("ignored: ", what)});
  }

  const Pace& pace_;
  AgentState state_;
  Timestamp now_;
  RandomSource& random_;
  std::vector<AgentEffect> effects_;
  Invocation executed_;  // that the lane just left
};

}  // namespace

AgentTransition StartAgent(const Pace& pace, const Recovered& recovered, Timestamp now,
                           RandomSource& random) {
  Stepper stepper(pace, {}, now, random);
  stepper.Recover(recovered);
  return stepper.Finish();
}

AgentTransition Step(const Pace& pace, AgentState state, const AgentEvent& event, Timestamp now,
                     RandomSource& random) {
  Stepper stepper(pace, std::move(state), now, random);
  std::visit([&](const auto& e) { stepper.On(e); }, event);
  return stepper.Finish();
}

Timestamp NextWake(const Pace& pace, const AgentState& state) {
  SeededRandom unused(0);
  const Stepper view(pace, state, {}, unused);
  Timestamp wake = std::min(state.metering_at, view.CheckInDue());
  if (Is<Waiting>(state.line)) wake = std::min({wake, view.RenewDue(), state.identity.not_after});
  if (Is<Refused>(state.line)) return std::min(wake, std::get<Refused>(state.line).retry_at);
  for (const Invocation& invocation : state.pending) wake = std::min(wake, invocation.deadline);
  if (Is<Reloading>(state.line) || !Is<Free>(state.lane)) return wake;
  if (!state.pending.empty()) wake = std::min(wake, state.execute_not_before);
  for (const Unsent& unsent : state.unsent) wake = std::min(wake, unsent.not_before);
  if (state.desired) wake = std::min(wake, state.reconcile_not_before);
  if (state.report_due) wake = std::min(wake, state.report_not_before);
  return wake;
}

bool IsTransient(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kCancelled:
      return true;
    default:
      return false;
  }
}

bool IsRefusal(absl::StatusCode code) {
  return code == absl::StatusCode::kPermissionDenied || code == absl::StatusCode::kUnauthenticated;
}

Duration Backoff(Duration base, Duration cap, uint32_t failures, RandomSource& random) {
  Duration limit = base;
  for (uint32_t i = 0; i < failures && limit < cap; ++i) limit *= 2;
  limit = std::min(limit, cap);
  return Duration(static_cast<int64_t>(random.Unit() * static_cast<double>(limit.count())));
}

Duration Jittered(Duration pace, double jitter, RandomSource& random) {
  const double factor = 1.0 + jitter * (2.0 * random.Unit() - 1.0);
  return Duration(static_cast<int64_t>(static_cast<double>(pace.count()) * factor));
}

Timestamp RenewAt(const Validity& identity) {
  const Duration lifetime = identity.not_after - identity.not_before;
  return identity.not_before + lifetime * 2 / 3;
}

}  // namespace muster
