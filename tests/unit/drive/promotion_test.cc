#include "coordinator/drive/fleet.h"
#include "coordinator/drive/promotions.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

class PromotionTest : public SmallCoordinator {
 protected:
  void SetUp() override {
    SmallCoordinator::SetUp();
    east_ = AddDevice("east", {{"site", "east"}});
    west_ = AddDevice("west", {{"site", "west"}});
    const JobSpec spec = Spec(1, 3);
    Submit(spec);
    for (int i = 0; i < 3; ++i) {
      const DeviceId& device = Arrive(east_).invocations.empty() ? west_ : east_;
      EXPECT_EQ(TrainOnce(device, spec), Verdict::kAccepted);
      RunTasks();
    }
  }
  Promoted Promote(uint32_t version, const std::string& cohort = "") {
    auto promoted = muster::Promote(*context_, {ModelName::Trusted("m"), version},
                                    Selector::Parse(cohort).value(), true, "operator/test");
    EXPECT_TRUE(promoted.ok()) << promoted.status();
    return *std::move(promoted);
  }
  // The version that the device is told to serve; 0: none.
  uint32_t Told(const DeviceId& device) {
    CheckIn check_in = Ready();
    check_in.known_generation = 1'000'000;
    const auto answer = dispatcher_->CheckIn(device, check_in);
    if (!answer.ok() || !answer->desired || answer->desired->models.empty()) return 0;
    return answer->desired->models[0].version;
  }
  void Report(const DeviceId& device, uint32_t version, ModelPhase phase, uint32_t serving) {
    uint64_t generation = 0;
    ASSERT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      generation = reader.CurrentGeneration().value();
                      return absl::OkStatus();
                    })
                    .ok());
    ASSERT_TRUE(RecordState(*context_, device,
                            {.generation = generation,
                             .models = {{.name = ModelName::Trusted("m"),
                                         .version = version,
                                         .phase = phase,
                                         .serving_version = serving}},
                             .report_id = "r1"})
                    .ok());
  }
  DeviceId east_, west_;
};

TEST_F(PromotionTest, ReachesTheCohortAndNobodyElse) {
  Promote(2, "site=east");
  EXPECT_EQ(Told(east_), 2u);
  EXPECT_EQ(Told(west_), 0u);
}

TEST_F(PromotionTest, TheSamePromotionTwiceChangesNothing) {
  EXPECT_FALSE(Promote(2).already);
  const auto again = Promote(2);
  EXPECT_TRUE(again.already);
}

TEST_F(PromotionTest, IsLiveOnceEveryDeviceServesItAndNotBefore) {
  const auto promoted = Promote(2);
  EXPECT_EQ(promoted.view.tally.pending, 2u);
  Report(east_, 2, ModelPhase::kLive, 2);
  EXPECT_EQ(GetPromotion(*context_, "m", "")->record.phase, PromotionPhase::kRollingOut);
  Report(west_, 2, ModelPhase::kLive, 2);
  EXPECT_EQ(GetPromotion(*context_, "m", "")->record.phase, PromotionPhase::kLive);
}

TEST_F(PromotionTest, ARollBackUncoversTheOneBefore) {
  Promote(1);
  Promote(2);
  EXPECT_EQ(Told(east_), 2u);
  const auto rolled = RollBack(*context_, "m", "", "operator/test");
  ASSERT_TRUE(rolled.ok());
  EXPECT_EQ(rolled->record.phase, PromotionPhase::kRolledBack);
  EXPECT_EQ(Told(east_), 1u);
  ASSERT_TRUE(RollBack(*context_, "m", rolled->record.id.value(), "operator/test").ok());
  EXPECT_EQ(Told(east_), 1u);
}

TEST_F(PromotionTest, ANarrowPromotionCoversABroadOneOnlyWhereItMatches) {
  Promote(1);
  const auto canary = Promote(3, "site=east");
  EXPECT_EQ(Told(east_), 3u);
  EXPECT_EQ(Told(west_), 1u);
  EXPECT_EQ(canary.view.devices.size(), 1u);
  EXPECT_EQ(GetPromotion(*context_, "m", "")->devices.size(), 1u);
}

TEST_F(PromotionTest, AVersionThatDoesNotExistIsRefused) {
  const auto promoted =
      muster::Promote(*context_, {ModelName::Trusted("m"), 99}, Selector(), true, "operator/test");
  EXPECT_TRUE(absl::IsNotFound(promoted.status()));
}

TEST_F(PromotionTest, ARepeatedReportCountsItsMeteringOnce) {
  Promote(1);
  StateReport report{.generation = 1, .report_id = "once"};
  report.metering.wall = std::chrono::milliseconds(5);
  ASSERT_TRUE(RecordState(*context_, east_, report).ok());
  ASSERT_TRUE(RecordState(*context_, east_, report).ok());
  std::vector<UsageRecord> usage;
  ASSERT_TRUE(store_
                  ->Read([&](const StoreReader& reader) -> absl::Status {
                    usage = reader.ListUsage("serving", "east").value();
                    return absl::OkStatus();
                  })
                  .ok());
  ASSERT_EQ(usage.size(), 1u);
  EXPECT_EQ(usage[0].wall_us, 5000u);
}

}  // namespace
}  // namespace muster
