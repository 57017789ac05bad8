#include "coordinator/rollout/rollout_machine.h"

namespace muster {

RolloutTally Tally(uint32_t version, std::span<const CoveredDevice> devices) {
  RolloutTally tally{.total = static_cast<uint32_t>(devices.size())};
  for (const CoveredDevice& device : devices) {
    const ModelStatus& status = device.status;
    if (!device.reported || status.version != version) {
      ++tally.pending;
    } else if (status.phase == ModelPhase::kFailed) {
      ++tally.failed;
    } else if (status.phase == ModelPhase::kLive && status.serving_version == version) {
      ++tally.live;
    } else {
      ++tally.pending;
    }
  }
  return tally;
}

RolloutOutcome Step(RolloutPhase phase, const RolloutEvent& event) {
  if (phase == RolloutPhase::kRolledBack) return RolloutIgnored{"it was rolled back"};
  if (std::holds_alternative<RollBackRequested>(event)) return RolloutPhase::kRolledBack;
  if (std::holds_alternative<NewerPromotion>(event)) return RolloutPhase::kSuperseded;
  if (std::holds_alternative<NewerRolledBack>(event)) return RolloutPhase::kRollingOut;
  if (phase == RolloutPhase::kSuperseded) return RolloutIgnored{"a newer promotion rules"};
  const RolloutTally& tally = std::get<DevicesChanged>(event).tally;
  const bool all_live = tally.total > 0 && tally.live == tally.total;
  return all_live ? RolloutPhase::kLive : RolloutPhase::kRollingOut;
}

}  // namespace muster
