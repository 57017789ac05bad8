#include "coordinator/rollout/rollout_machine.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

CoveredDevice Device(bool reported, uint32_t version, ModelPhase phase, uint32_t serving) {
  CoveredDevice device{.device = DeviceId::Trusted("d"), .reported = reported};
  device.status.version = version;
  device.status.phase = phase;
  device.status.serving_version = serving;
  return device;
}

RolloutPhase Expect(RolloutPhase phase, const RolloutEvent& event) {
  const RolloutOutcome outcome = Step(phase, event);
  EXPECT_TRUE(std::holds_alternative<RolloutPhase>(outcome));
  return std::get<RolloutPhase>(outcome);
}

TEST(Tally, CountsADeviceAsLiveOnlyWhenItServesThisVersion) {
  const std::vector<CoveredDevice> devices = {
      Device(true, 5, ModelPhase::kLive, 5),    // live
      Device(true, 5, ModelPhase::kLive, 4),    // says live, serves the old one
      Device(true, 4, ModelPhase::kLive, 4),    // was not told yet
      Device(true, 5, ModelPhase::kFailed, 4),  // failed, last good serves
      Device(false, 5, ModelPhase::kLive, 5),   // an old report
      Device(true, 5, ModelPhase::kApplying, 0),
  };
  EXPECT_EQ(Tally(5, devices), (RolloutTally{.total = 6, .live = 1, .failed = 1, .pending = 4}));
}

TEST(Rollout, IsLiveWhenEveryCoveredDeviceIsAndOnlyThen) {
  EXPECT_EQ(Expect(RolloutPhase::kRollingOut, DevicesChanged{{.total = 2, .live = 2}}),
            RolloutPhase::kLive);
  EXPECT_EQ(Expect(RolloutPhase::kRollingOut, DevicesChanged{{.total = 2, .live = 1}}),
            RolloutPhase::kRollingOut);
  EXPECT_EQ(Expect(RolloutPhase::kRollingOut, DevicesChanged{{.total = 0}}),
            RolloutPhase::kRollingOut);
}

TEST(Rollout, RollsOutAgainWhenADeviceJoins) {
  EXPECT_EQ(Expect(RolloutPhase::kLive, DevicesChanged{{.total = 3, .live = 2, .pending = 1}}),
            RolloutPhase::kRollingOut);
}

TEST(Rollout, OnceRolledBackStaysSo) {
  EXPECT_EQ(Expect(RolloutPhase::kLive, RollBackRequested{}), RolloutPhase::kRolledBack);
  for (const RolloutEvent& event :
       {RolloutEvent(RollBackRequested{}), RolloutEvent(NewerPromotion{}),
        RolloutEvent(NewerRolledBack{}), RolloutEvent(DevicesChanged{{.total = 1, .live = 1}})}) {
    EXPECT_TRUE(std::holds_alternative<RolloutIgnored>(Step(RolloutPhase::kRolledBack, event)));
  }
}

TEST(Rollout, RulesAgainWhenTheNewerOneIsRolledBack) {
  EXPECT_EQ(Expect(RolloutPhase::kLive, NewerPromotion{}), RolloutPhase::kSuperseded);
  EXPECT_EQ(Expect(RolloutPhase::kSuperseded, NewerRolledBack{}), RolloutPhase::kRollingOut);
}

}  // namespace
}  // namespace muster
