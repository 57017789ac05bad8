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
// With secure aggregation a device reports twice: first it advertises its keys once its update is
// trained (Collecting), then it hands in the masked vector (Masking). Between and after these come
// short exchanges, each with a deadline of its own and a quorum below which the round is abandoned:
//
//   Collecting --roster frozen--> Sharing --U1 frozen--> Masking --U2 frozen-->
//     [Agreeing, in malicious mode -->] Unmasking --enough shares--> Aggregating
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
  AggregationMode aggregation = AggregationMode::kClear;
  Duration phase_deadline{};  // of each exchange of secure aggregation
  friend bool operator==(const RoundPolicy&, const RoundPolicy&) = default;
};
RoundPolicy PolicyOf(const RoundConfig& config, const AggregationConfig& aggregation);

// Invitations are handed out and updates, or adverts of keys, come in.
struct Collecting {
  Timestamp opened;
  Timestamp closes;
  uint32_t invited = 0;
  uint32_t reported = 0;  // updates in the durable partial sum, or adverts
  uint32_t failed = 0;    // devices that gave up or whose update was refused for good
  uint64_t examples = 0;
  friend bool operator==(const Collecting&, const Collecting&) = default;
};
// The roster is frozen: its members share their secrets.
struct Sharing {
  Timestamp opened;
  Timestamp closes;
  uint32_t invited = 0;
  uint32_t reported = 0;  // in the roster
  uint32_t failed = 0;
  uint32_t answered = 0;  // whose shares are durable
  uint32_t lost = 0;      // that said they take no further part, in this phase
  friend bool operator==(const Sharing&, const Sharing&) = default;
};
// U1 is frozen: its members hand in masked vectors.
struct Masking {
  Timestamp opened;
  Timestamp closes;
  uint32_t invited = 0;
  uint32_t reported = 0;  // in U1
  uint32_t failed = 0;
  uint32_t answered = 0;  // whose vectors are in the durable sum
  uint32_t lost = 0;
  friend bool operator==(const Masking&, const Masking&) = default;
};
// U2 is frozen for good: its members sign it.
struct Agreeing {
  Timestamp opened;
  Timestamp closes;
  uint32_t invited = 0;
  uint32_t reported = 0;  // in U2
  uint32_t failed = 0;
  uint32_t answered = 0;  // who signed
  uint32_t lost = 0;
  friend bool operator==(const Agreeing&, const Agreeing&) = default;
};
// Members of U2 reveal the shares that take the masks off the sum.
struct Unmasking {
  Timestamp opened;
  Timestamp closes;
  uint32_t invited = 0;
  uint32_t reported = 0;  // in U2
  uint32_t failed = 0;
  uint32_t answered = 0;  // who revealed
  uint32_t lost = 0;
  friend bool operator==(const Unmasking&, const Unmasking&) = default;
};
// The sum is final: no further update may enter it.
struct Aggregating {
  Timestamp opened;
  Timestamp closed;
  uint32_t invited = 0, reported = 0, failed = 0;
  uint64_t examples = 0;  // 0 while masks hide it
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
using RoundState = std::variant<Collecting, Sharing, Masking, Agreeing, Unmasking, Aggregating,
                                Committed, Abandoned>;

// Events.
struct DeviceInvited {
  DeviceId device;
};
struct DevicesReported {
  uint32_t count = 0;
  uint64_t examples = 0;
};  // newly in the durable sum, or newly advertised
struct DevicesAnswered {
  uint32_t count = 0;
  bool enough = false;  // Unmasking: every secret that is needed can be recovered
};                      // newly durable in Sharing, Masking, Agreeing or Unmasking
struct DeviceFailed {
  DeviceId device;
  std::string reason;
  bool took_part = false;  // was in the set that the phase waits for
};
struct RoundDeadline {};
struct ModelStored {
  uint32_t version = 0;
  uint64_t examples = 0;
};
struct RoundCancelled {
  std::string reason;
};
using RoundEvent = std::variant<DeviceInvited, DevicesReported, DevicesAnswered, DeviceFailed,
                                RoundDeadline, ModelStored, RoundCancelled>;

// Effects: carried out after the commit, each idempotent. The Freeze ones touch the store alone and
// join the commit.
struct FreezeRoster {};
struct FreezeSharers {};    // U1
struct FreezeSurvivors {};  // U2: write once
struct CloseSum {};         // finalize: unmask, mean, optimizer, store a version
struct TellRoundCommitted {
  uint32_t version = 0;
};  // to the job machine
struct TellRoundAbandoned {
  std::string reason;
};  // to the job machine
using RoundEffect = std::variant<FreezeRoster, FreezeSharers, FreezeSurvivors, CloseSum,
                                 TellRoundCommitted, TellRoundAbandoned>;

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
// When the phase ends by itself; nothing once the sum is final.
std::optional<Timestamp> ClosesAt(const RoundState& state);
// The latest time that a device of this round may still be asked for something.
Timestamp LastAnswerDue(const RoundPolicy& policy, const Collecting& opened);

}  // namespace muster
