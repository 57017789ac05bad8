// The agent's decisions, as a pure step function: (state, event, now, dice) -> (state, effects). No
// clock, socket, disk or process in here; agent.h performs the effects and feeds the events.
//
// Two things go on beside each other. The LINE talks to the coordinator: check-ins at the pace that
// it suggests, held open only while a round of this device's is open; certificate renewal. The LANE
// does one piece of work at a time: run an invocation, send a stored answer, reconcile the desired
// state, report.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "client/agent/types.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/random.h"
#include "proto/core/time.h"

namespace muster {

// Fixed pace. Backoff has full jitter: uniform in [0, min(cap, base * 2^failures)). A coordinator
// that asks for a pause gets at least that, and up to `pushback_jitter` more.
struct Pace {
  Duration first_check_in = std::chrono::milliseconds(500);  // uniform in [0, this) after start
  double jitter = 0.2;                                       // of the suggested pace, both ways
  Duration suggested_min = std::chrono::milliseconds(100);
  Duration suggested_max = std::chrono::hours(24);
  Duration in_round_min = std::chrono::milliseconds(50);  // between two starts of a held check-in
  Duration in_round_busy = std::chrono::seconds(1);       // the same, while the lane works
  Duration silence_max = std::chrono::minutes(5);         // a running invocation defers check-ins
  Duration backoff_base = std::chrono::milliseconds(500);
  Duration backoff_cap = std::chrono::minutes(5);
  double pushback_jitter = 0.5;
  Duration reconcile_base = std::chrono::seconds(5);
  Duration reconcile_cap = std::chrono::minutes(10);
  Duration refused_retry = std::chrono::minutes(15);  // with the same jitter as the pace
  Duration renew_cap = std::chrono::hours(1);
  Duration execute_retry = std::chrono::seconds(2);
  Duration metering = std::chrono::minutes(1);
};

inline constexpr size_t kMaxPendingInvocations = 16;

// The line.
struct Waiting {
  Timestamp until;
  friend bool operator==(const Waiting&, const Waiting&) = default;
};
struct Asking {
  Timestamp since;
  friend bool operator==(const Asking&, const Asking&) = default;
};
struct Renewing {
  friend bool operator==(const Renewing&, const Renewing&) = default;
};
// The coordinator refuses this identity, or it expired: serve, do not ask for work.
struct Refused {
  Timestamp retry_at;
  friend bool operator==(const Refused&, const Refused&) = default;
};
struct Reloading {
  friend bool operator==(const Reloading&, const Reloading&) = default;
};
using Line = std::variant<Waiting, Asking, Renewing, Refused, Reloading>;

// The lane.
struct Free {
  friend bool operator==(const Free&, const Free&) = default;
};
struct Executing {
  Invocation invocation;
  friend bool operator==(const Executing&, const Executing&) = default;
};
struct Sending {
  InvocationId id;
  friend bool operator==(const Sending&, const Sending&) = default;
};
struct Reconciling {
  uint64_t generation = 0;
  friend bool operator==(const Reconciling&, const Reconciling&) = default;
};
struct Reporting {
  friend bool operator==(const Reporting&, const Reporting&) = default;
};
using Lane = std::variant<Free, Executing, Sending, Reconciling, Reporting>;

struct Validity {
  Timestamp not_before, not_after;
};

// An answer that is stored but not yet taken.
struct Unsent {
  InvocationId id;
  Timestamp deadline;  // of the invocation: after it nobody wants the answer
  Timestamp not_before;
  uint32_t failures = 0;
};

struct AgentState {
  Line line = Waiting{};
  Lane lane = Free{};
  Validity identity;
  Timestamp renew_not_before;  // after a failed renewal
  uint32_t renew_failures = 0;
  Timestamp asked_at;     // start of the last check-in
  uint32_t failures = 0;  // check-ins in a row
  bool in_round = false;
  std::deque<Invocation> pending;  // to run, oldest first
  Timestamp execute_not_before;    // after an attempt broke off
  std::deque<Unsent> unsent;
  uint64_t told_generation = 0;         // newest desired state that is durable here
  std::optional<DesiredState> desired;  // not reconciled yet
  Timestamp reconcile_not_before;
  uint32_t reconcile_failures = 0;
  bool reconcile_next = true;  // turns between reconciling and invocations
  bool report_due = false;
  Timestamp report_not_before;
  uint32_t report_failures = 0;
  Timestamp metering_at;
};

// Events.
struct Woken {};  // some time passed
struct CheckInAnswered {
  std::vector<KnownInvocation> invocations;
  std::optional<DesiredState> desired;
  Duration next{};
  bool in_round = false;
};
// `retry_after` of the failures: what the coordinator asks for, or zero.
struct CheckInFailed {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string message;
  Duration retry_after{};
};
struct InvocationReady {
  InvocationId id;
};  // its answer is stored
struct ExecutionBroke {
  InvocationId id;
  std::string message;
};  // its outcome could not be stored
struct AnswerTaken {
  InvocationId id;
};
struct AnswerFailed {
  InvocationId id;
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string message;
  Duration retry_after{};
};
struct ReconcileEnded {
  uint64_t generation = 0;
  bool retry = false;
};
struct ReportSent {
  bool more = false;
};  // more: something newer waits already
struct ReportFailed {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string message;
  Duration retry_after{};
};
struct ReportWanted {};  // there is metering to tell
struct IdentityLoaded {
  Validity validity;
};  // renewed, or read again
struct RenewalFailed {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string message;
  Duration retry_after{};
};
using AgentEvent =
    std::variant<Woken, CheckInAnswered, CheckInFailed, InvocationReady, ExecutionBroke,
                 AnswerTaken, AnswerFailed, ReconcileEnded, ReportSent, ReportFailed, ReportWanted,
                 IdentityLoaded, RenewalFailed>;

// Effects, to be performed in order. The first four are durable writes: if one fails, the
// transition did not happen, and the shell keeps the old state and feeds the same event again a
// little later.
struct RememberInvocation {
  Invocation invocation;
};
struct RememberDesired {
  DesiredState desired;
};
struct StoreFailure {
  InvocationId id;
  std::string reason;
};  // its answer is this failure
struct ForgetInvocation {
  InvocationId id;
  std::string reason;
};  // nobody wants it any more
struct AskCoordinator {
  uint64_t known_generation = 0;
  std::chrono::milliseconds wait{0};
};
struct Execute {
  Invocation invocation;
};
struct SendAnswer {
  InvocationId id;
};
struct Reconcile {
  DesiredState desired;
};
struct SendReport {};
struct Renew {};
struct Reload {};
struct CollectMetering {};
struct Say {
  LogLevel level = LogLevel::kInfo;
  std::string text;
};
using AgentEffect = std::variant<RememberInvocation, RememberDesired, StoreFailure,
                                 ForgetInvocation, AskCoordinator, Execute, SendAnswer, Reconcile,
                                 SendReport, Renew, Reload, CollectMetering, Say>;

struct AgentTransition {
  AgentState next;
  std::vector<AgentEffect> effects;
};

// What the journal holds at start.
struct Recovered {
  Validity identity;
  std::vector<KnownInvocation> unfinished;  // received, running or ready; oldest first
  uint64_t told_generation = 0;
  std::optional<DesiredState> desired;  // told but not applied
  bool report_due = false;
};
AgentTransition StartAgent(const Pace& pace, const Recovered& recovered, Timestamp now,
                           RandomSource& random);

AgentTransition Step(const Pace& pace, AgentState state, const AgentEvent& event, Timestamp now,
                     RandomSource& random);

// When Woken is due at the latest, if no event comes before.
Timestamp NextWake(const Pace& pace, const AgentState& state);

// True for errors after which the same call may succeed.
bool IsTransient(absl::StatusCode code);
// True when the coordinator does not accept this identity.
bool IsRefusal(absl::StatusCode code);

Duration Backoff(Duration base, Duration cap, uint32_t failures, RandomSource& random);
Duration Jittered(Duration pace, double jitter, RandomSource& random);
Timestamp RenewAt(const Validity& identity);  // two thirds of the lifetime

}  // namespace muster
