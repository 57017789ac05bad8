#include "client/agent/eligibility.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace muster {
namespace {

class EligibilityTest : public testing::Test {
 protected:
  EligibilityTest() {
    std::string name = testing::TempDir() + "/eligibility-XXXXXX";
    root_ = mkdtemp(name.data());
    here_ = {root_ / "loadavg", root_ / "power", root_ / "route", 2};
  }
  ~EligibilityTest() override { std::filesystem::remove_all(root_); }
  void Write(const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text << "\n";
  }
  std::filesystem::path root_;
  Surroundings here_;
};

TEST_F(EligibilityTest, IdleIsALoadBelowTheThresholdPerCore) {
  Write("loadavg", "0.99 0.10 0.05 1/100 1234");
  EXPECT_TRUE(IsIdle(here_, 0.5));
  Write("loadavg", "1.01 0.10 0.05 1/100 1234");
  EXPECT_FALSE(IsIdle(here_, 0.5));
}

TEST_F(EligibilityTest, ADeviceWithoutBatteryIsOnPower) { EXPECT_TRUE(IsCharging(here_)); }

TEST_F(EligibilityTest, ABatteryNeedsPower) {
  Write("power/BAT0/type", "Battery");
  Write("power/BAT0/status", "Discharging");
  EXPECT_FALSE(IsCharging(here_));
  Write("power/AC/type", "Mains");
  Write("power/AC/online", "0");
  EXPECT_FALSE(IsCharging(here_));
  Write("power/AC/online", "1");
  EXPECT_TRUE(IsCharging(here_));
}

TEST_F(EligibilityTest, AMousesBatteryDoesNotCount) {
  Write("power/mouse/type", "Battery");
  Write("power/mouse/scope", "Device");
  Write("power/mouse/status", "Discharging");
  EXPECT_TRUE(IsCharging(here_));
}

TEST_F(EligibilityTest, ACellularDefaultRouteIsMetered) {
  const std::string head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";
  Write("route", head + "eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0");
  EXPECT_FALSE(IsMetered(here_));
  Write("route", head + "wwan0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0");
  EXPECT_TRUE(IsMetered(here_));
  Write("route", head + "wwan0\t0002A8C0\t0102A8C0\t0003\t0\t0\t100\t00FFFFFF\t0\t0\t0");
  EXPECT_FALSE(IsMetered(here_));
}

TEST_F(EligibilityTest, TheCommandsExitCodeDecides) {
  const auto limit = std::chrono::seconds(30);
  EXPECT_TRUE(RunCommand({"true"}, limit).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(RunCommand({"false"}, limit)));
  EXPECT_TRUE(absl::IsFailedPrecondition(RunCommand({"/no/such/program"}, limit)));
}

TEST_F(EligibilityTest, NoShellReadsTheCommand) {
  const std::string file = root_ / "made";
  RunCommand({"true", ";", "touch", file, "&&", "$(touch " + file + ")"}, std::chrono::seconds(30))
      .IgnoreError();
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(EligibilityTest, ACommandThatHangsIsKilledWithItsChildren) {
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      RunCommand({"/bin/sh", "-c", "sleep 1000 & wait"}, std::chrono::milliseconds(50))));
}

TEST_F(EligibilityTest, WhatIsNotRequiredCountsAsGiven) {
  Write("loadavg", "99.0 1 1 1/1 1");
  Write("power/BAT0/type", "Battery");
  Write("power/BAT0/status", "Discharging");
  EligibilityConfig config;
  config.require_charging = false;
  config.require_unmetered = false;
  config.metered = true;
  DataProbe data{DataConfig{}};
  Eligibility all = MeasureEligibility(config, here_, data, {});
  EXPECT_TRUE(all.idle && all.charging && all.unmetered && all.custom);
  EXPECT_FALSE(all.has_data);
  config.require_idle = config.require_charging = config.require_unmetered = true;
  config.command = {"false"};
  Eligibility none = MeasureEligibility(config, here_, data, {});
  EXPECT_FALSE(none.idle || none.charging || none.unmetered || none.custom);
}

TEST_F(EligibilityTest, DataThatAppearsLaterIsFound) {
  DataConfig config;
  config.format = DataFormat::kCsv;
  config.path = root_ / "data.csv";
  config.label_column = "y";
  config.held_out_fraction = 0.0;
  DataProbe data(config);
  data.Refresh({0});
  EXPECT_FALSE(data.has_data());
  EXPECT_TRUE(absl::IsNotFound(data.status())) << data.status();
  Write("data.csv", "a,y\n0.5,0\n0.25,1");
  data.Refresh(Timestamp{0} + std::chrono::seconds(30));
  EXPECT_FALSE(data.has_data()) << "asked again too soon";
  data.Refresh(Timestamp{0} + std::chrono::seconds(60));
  EXPECT_TRUE(data.has_data());
  EXPECT_EQ(data.train_examples(), 2u);
}

}  // namespace
}  // namespace muster
