// The round machine: one round of federated averaging (McMahan et al. 2017) as a pure step
// function.
//
//   Collecting --goal reached, or deadline with a quorum--> Aggregating --model stored--> Committed
//        \--deadline below the quorum, or cancelled--> Abandoned <--/
//
// There is no clock, store or dice here: the driver hands in events and carries out effects after
// it has committed the new state. Who takes part is kept in the store as one row for each
// participant, so a state holds counts and stays small however large the cohort is. The driver
// guarantees, in the same transaction, that each device causes at most one DeviceInvited and at
// most one of DeviceReported and DeviceFailed for a round.
//
// Secure aggregation takes its place between Collecting and Aggregating: its phases become further
// alternatives of RoundState, and DeviceReported then stands for a masked vector.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "proto/core/ids.h"
#include "proto/core/job_spec.h"
#include "proto/core/time.h"

namespace muster {

struct RoundPolicy {
  uint32_t goal = 1;           // reports that close the round at once
  uint32_t invite_target = 1;  // ceil(goal * over-selection)
  uint32_t quorum = 1;         // fewest reports that a deadline may close with
  Duration deadline{};         // from opening
  friend bool operator==(const RoundPolicy&, const RoundPolicy&) = default;
};
RoundPolicy PolicyOf(const RoundConfig& config);

// Invitations are handed out and updates come in.
struct Collecting {
  Timestamp opened;
  Timestamp closes;
  uint32_t invited = 0;
  uint32_t reported = 0;  // updates in the durable partial sum
  uint32_t failed = 0;    // devices that gave up or whose update was refused for good
  uint64_t examples = 0;
  friend bool operator==(const Collecting&, const Collecting&) = default;
};
// The sum is final: no further update may enter it.
struct Aggregating {
  Timestamp opened;
  Timestamp closed;
  uint32_t invited = 0, reported = 0, failed = 0;
  uint64_t examples = 0;
  friend bool operator==(const Aggregating&, const Aggregating&) = default;
};
struct Committed {
  Timestamp opened;
  Timestamp closed;
  uint32_t invited = 0, reported = 0, failed = 0;
  uint64_t examples = 0;
  uint32_t model_version = 0;
  friend bool operator==(const Committed&, const Committed&) = default;
};
struct Abandoned {
  Timestamp opened;
  Timestamp closed;
  uint32_t invited = 0, reported = 0, failed = 0;
  std::string reason;
  friend bool operator==(const Abandoned&, const Abandoned&) = default;
};
using RoundState = std::variant<Collecting, Aggregating, Committed, Abandoned>;

// Events.
struct DeviceInvited {
  DeviceId device;
};
struct DevicesReported {
  uint32_t count = 0;
  uint64_t examples = 0;
};  // newly in the durable sum
struct DeviceFailed {
  DeviceId device;
  std::string reason;
};
struct RoundDeadline {};
struct ModelStored {
  uint32_t version = 0;
};
struct RoundCancelled {
  std::string reason;
};
using RoundEvent = std::variant<DeviceInvited, DevicesReported, DeviceFailed, RoundDeadline,
                                ModelStored, RoundCancelled>;

// Effects: carried out after the commit, each idempotent.
struct CloseSum {};  // finalize: mean, optimizer, store a version
struct TellRoundCommitted {
  uint32_t version = 0;
};  // to the job machine
struct TellRoundAbandoned {
  std::string reason;
};  // to the job machine
using RoundEffect = std::variant<CloseSum, TellRoundCommitted, TellRoundAbandoned>;

struct Ignored {
  std::string why;
};  // a stale or repeated event: nothing changes
struct RoundTransition {
  RoundState next;
  std::vector<RoundEffect> effects;
};
using RoundOutcome = std::variant<RoundTransition, Ignored>;

Collecting OpenRound(const RoundPolicy& policy, Timestamp now);
RoundOutcome Step(const RoundPolicy& policy, const RoundState& state, const RoundEvent& event,
                  Timestamp now);

// May another device be invited? Answers why not.
std::optional<std::string> WhyNotInvite(const RoundPolicy& policy, const RoundState& state,
                                        Timestamp now);
bool IsTerminal(const RoundState& state);
std::string_view PhaseName(const RoundState& state);  // "collecting", ...

}  // namespace muster
