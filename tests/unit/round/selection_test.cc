#include "coordinator/round/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

namespace muster {
namespace {

std::vector<DeviceId> Devices(int count) {
  std::vector<DeviceId> devices;
  for (int i = 0; i < count; ++i) devices.push_back(DeviceId::Trusted("d-" + std::to_string(i)));
  return devices;
}

TEST(SelectCohort, DoesNotDependOnTheOrderOfTheCandidates) {
  auto devices = Devices(50);
  const auto cohort = SelectCohort(7, 3, 1, devices, 10);
  std::reverse(devices.begin(), devices.end());
  EXPECT_EQ(SelectCohort(7, 3, 1, devices, 10), cohort);
  EXPECT_EQ(cohort.size(), 10u);
  EXPECT_TRUE(std::is_sorted(cohort.begin(), cohort.end()));
}

TEST(SelectCohort, TakesEveryoneWhenThereAreTooFew) {
  EXPECT_EQ(SelectCohort(7, 1, 1, Devices(4), 10).size(), 4u);
  EXPECT_TRUE(SelectCohort(7, 1, 1, {}, 10).empty());
}

TEST(SelectCohort, ChangesFromRoundToRoundAndFromAttemptToAttempt) {
  const auto devices = Devices(100);
  EXPECT_NE(SelectCohort(7, 1, 1, devices, 10), SelectCohort(7, 2, 1, devices, 10));
  EXPECT_NE(SelectCohort(7, 1, 1, devices, 10), SelectCohort(7, 1, 2, devices, 10));
}

TEST(SelectCohort, GivesEveryDeviceTheSameChance) {
  const auto devices = Devices(40);
  constexpr int kRounds = 4000, kSize = 10;
  std::map<DeviceId, int> chosen;
  for (int round = 1; round <= kRounds; ++round) {
    for (const DeviceId& device : SelectCohort(1, round, 1, devices, kSize)) ++chosen[device];
  }
  const double expected = kRounds * kSize / 40.0;
  const double deviation = std::sqrt(expected * (1 - kSize / 40.0));
  for (const DeviceId& device : devices) {
    EXPECT_NEAR(chosen[device], expected, 5 * deviation) << device.value();
  }
}

TEST(FunctionSeed, DependsOnSeedRoundAndDevice) {
  const DeviceId a = DeviceId::Trusted("a"), b = DeviceId::Trusted("b");
  EXPECT_EQ(FunctionSeed(1, 2, a), FunctionSeed(1, 2, a));
  EXPECT_NE(FunctionSeed(1, 2, a), FunctionSeed(1, 2, b));
  EXPECT_NE(FunctionSeed(1, 2, a), FunctionSeed(1, 3, a));
  EXPECT_NE(FunctionSeed(1, 2, a), FunctionSeed(2, 2, a));
}

}  // namespace
}  // namespace muster
