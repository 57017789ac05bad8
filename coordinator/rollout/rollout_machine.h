// The rollout machine: a promotion as the fleet makes it true, as a pure function of what devices
// report.
//
// A promotion is desired state: nothing is pushed. It is rolling out until every device that it
// covers serves its version, live then, and rolling out again if a device joins the cohort. It ends
// rolled back (by an operator) or superseded (a newer promotion of the same model covers the same
// devices).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "proto/core/device_messages.h"
#include "proto/core/ids.h"

namespace muster {

enum class RolloutPhase { kRollingOut, kLive, kRolledBack, kSuperseded };

// What one covered device has last said about the model.
struct CoveredDevice {
  DeviceId device;
  bool reported = false;  // it reported on this model since it was told
  ModelStatus status;     // meaningful if reported
};

struct RolloutTally {
  uint32_t total = 0, live = 0, failed = 0, pending = 0;
  friend bool operator==(const RolloutTally&, const RolloutTally&) = default;
};
RolloutTally Tally(uint32_t version, std::span<const CoveredDevice> devices);

// Events.
struct DevicesChanged {
  RolloutTally tally;
};
struct RollBackRequested {};
struct NewerPromotion {};   // covers the same cohort
struct NewerRolledBack {};  // the one that had taken its place is gone: it rules again
using RolloutEvent =
    std::variant<DevicesChanged, RollBackRequested, NewerPromotion, NewerRolledBack>;

struct RolloutIgnored {
  std::string why;
};
using RolloutOutcome = std::variant<RolloutPhase, RolloutIgnored>;

RolloutOutcome Step(RolloutPhase phase, const RolloutEvent& event);

}  // namespace muster
