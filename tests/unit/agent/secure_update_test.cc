// Whole sessions of five devices against the protocol's own coordinator over real gRPC.
#include "client/agent/secure_update.h"

#include <limits>

#include "tests/unit/agent/secure_fixture.h"

namespace muster {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class SecureUpdateTest : public SecureFixture {
 protected:
  void ExpectOver(SecureDevice& device) {
    EXPECT_EQ(device.Entry().stage, Stage::kAnswered);
    EXPECT_FALSE((*device.journal().FindSecAggSession(device.invocation())).has_value());
    EXPECT_FALSE(std::filesystem::exists(device.dir().work(device.invocation().value())));
  }
  // One device alone says that it takes no part, and why.
  std::string RefusalOfFirstDevice() {
    EXPECT_TRUE(devices_[0]->Send().ok());
    ExpectOver(*devices_[0]);
    EXPECT_THAT(devices_[0]->Outcome(), StartsWith("given up: "));
    const std::vector<secagg::Refusal> refusals = fleet_->refusals();
    EXPECT_EQ(refusals.size(), 1u);
    return refusals.empty() ? "" : refusals[0].reason;
  }
};

TEST_F(SecureUpdateTest, TheCoordinatorLearnsTheMeanAndNothingElse) {
  Start(MakeParams());
  SendAll();
  ExpectMeanOf({0, 1, 2, 3, 4});
  for (const auto& device : devices_) {
    ExpectOver(*device);
    EXPECT_EQ(device->Outcome(), "accepted");
    const std::vector<std::string> adverts = fleet_->Sent("Advertise", device->id());
    ASSERT_EQ(adverts.size(), 1u);
    v1::AdvertiseRequest advert;
    ASSERT_TRUE(advert.ParseFromString(adverts[0]));
    EXPECT_EQ(advert.metering().wall_us(), 5000u);
    EXPECT_EQ(advert.metering().bytes_up(), 0u);
    v1::SubmitMaskedRequest masked;
    ASSERT_TRUE(masked.ParseFromString(fleet_->Sent("SubmitMasked", device->id()).at(0)));
    EXPECT_EQ(masked.metering().bytes_up(), (kDimension + 2) * 4);
  }
  EXPECT_TRUE(fleet_->server().updates.empty()) << "examples and metrics in the clear";
  EXPECT_TRUE(fleet_->server().results.empty());
  EXPECT_TRUE(fleet_->refusals().empty());
}

TEST_F(SecureUpdateTest, InMaliciousModeSurvivorsConsentFirst) {
  Start(MakeParams(secagg::Mode::kMalicious));
  SendAll();
  ExpectMeanOf({0, 1, 2, 3, 4});
  for (const auto& device : devices_) ExpectOneMessage("Agree", *device, 1);
}

TEST_F(SecureUpdateTest, WithNoiseOfItsOwnEachDeviceStillHelpsToTheMean) {
  secagg::Params params = MakeParams();
  params.weighted = false;
  params.metrics.clear();
  params.clip = 20;
  params.noise = secagg::ClientNoise{.variance_per_client = 100, .rotation_seed = Sha256("signs")};
  params.scale = 1000;
  Start(params);
  SendAll();
  std::vector<float> mean;
  const auto sum = fleet_->Open(&mean);
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_NEAR(sum->weight, 5, 1e-3);
  double error = 0;
  for (size_t j = 0; j < kDimension; ++j) {
    double expected = 0;
    for (size_t i = 0; i < kDevices; ++i) expected += updates_[i][j] / kDevices;
    error += std::abs(mean[j] - expected);
  }
  EXPECT_LT(error / kDimension, 0.05);
  EXPECT_GT(error, 0);
}

TEST_F(SecureUpdateTest, ADeviceThatIsLostAfterSharingIsTakenOutOfTheSum) {
  Start(MakeParams());
  // It cannot learn who shared, so that its masks are in the others' vectors and it is not.
  fleet_->Fail("Await shares", devices_[2]->id(), 1000, false);
  std::jthread lost([this] { EXPECT_TRUE(absl::IsUnavailable(devices_[2]->Send())); });
  std::jthread others([this] { SendAll({2}); });
  lost.join();
  fleet_->Drop(devices_[2]->id());
  others.join();
  ExpectMeanOf({0, 1, 3, 4});
  devices_[2]->Restart();
  EXPECT_TRUE(devices_[2]->Send().ok()) << "it comes back too late";
  ExpectOver(*devices_[2]);
  EXPECT_EQ(devices_[2]->Outcome(), "refused: the session goes on without it");
  EXPECT_TRUE(fleet_->Sent("SubmitMasked", devices_[2]->id()).empty());
}

TEST_F(SecureUpdateTest, ASessionThatIsClosedEndsCleanly) {
  Start(MakeParams());
  fleet_->Drop(devices_[0]->id());
  EXPECT_TRUE(devices_[0]->Send().ok());
  ExpectOver(*devices_[0]);
  EXPECT_EQ(devices_[0]->Outcome(), "closed: the session goes on without it");
  EXPECT_TRUE(fleet_->Sent("Advertise", devices_[0]->id()).empty());
  EXPECT_FALSE(std::filesystem::exists(devices_[0]->dir().secagg_key()));
}

TEST_F(SecureUpdateTest, ASessionOverAnotherModelIsRefused) {
  Start(MakeParams());
  secagg::Params other = MakeParams();
  other.model = Sha256("another package");
  fleet_->ShowParams(other);
  EXPECT_THAT(RefusalOfFirstDevice(), HasSubstr("the session is about model"));
  EXPECT_TRUE(fleet_->Sent("Advertise", devices_[0]->id()).empty());
}

TEST_F(SecureUpdateTest, ASessionOfAnotherRoundIsRefused) {
  Start(MakeParams());
  secagg::Params other = MakeParams();
  other.attempt += 1;
  fleet_->ShowParams(other);
  EXPECT_THAT(RefusalOfFirstDevice(), HasSubstr("not that of this invocation"));
}

TEST_F(SecureUpdateTest, ParametersThatCouldOverflowAreRefused) {
  Start(MakeParams());
  secagg::Params other = MakeParams();
  other.scale *= 2;
  fleet_->ShowParams(other);
  RefusalOfFirstDevice();
  EXPECT_EQ(fleet_->refusals().at(0).phase, secagg::Phase::kAdvertise);
}

TEST_F(SecureUpdateTest, AnUpdateWithNanIsRefusedOnTheDeviceAndTheOthersGoOn) {
  updates_[1][17] = std::numeric_limits<float>::quiet_NaN();
  Start(MakeParams());
  SendAll();
  EXPECT_THAT(devices_[1]->Outcome(), HasSubstr("NaN"));
  ASSERT_EQ(fleet_->refusals().size(), 1u);
  EXPECT_EQ(fleet_->refusals()[0].phase, secagg::Phase::kMasked);
  ExpectMeanOf({0, 2, 3, 4});
}

TEST_F(SecureUpdateTest, AnAnsweredInvocationThatIsAskedForAgainNeverMasksAgain) {
  Start(MakeParams());
  fleet_->Drop(devices_[0]->id());
  ASSERT_TRUE(devices_[0]->Send().ok());
  ASSERT_TRUE(devices_[0]->Send().ok());
  EXPECT_EQ(fleet_->Sent("Join", devices_[0]->id()).size(), 1u);
  EXPECT_EQ(fleet_->Sent("Refuse", devices_[0]->id()).size(), 1u);
  EXPECT_TRUE(fleet_->Sent("Advertise", devices_[0]->id()).empty());
}

TEST_F(SecureUpdateTest, WithoutAnIdentifiedChannelItIsTriedAgain) {
  Start(MakeParams());
  SystemRandom random;
  SecureUpdate secure(devices_[0]->dir(), devices_[0]->journal(), random, clock_);
  const auto outcome = secure.Run(devices_[0]->Entry(), MakeUplink(fleet_->channel()), Bounds{});
  EXPECT_TRUE(absl::IsUnavailable(outcome.status()));
}

TEST_F(SecureUpdateTest, TheAgentsStopEndsTheWaitAndTheSessionGoesOnLater) {
  Start(MakeParams());
  SystemRandom random;
  SecureUpdate secure(devices_[0]->dir(), devices_[0]->journal(), random, clock_);
  std::stop_source stop;
  Bounds bounds;
  bounds.stop = stop.get_token();
  const Uplink uplink =
      MakeUplink(fleet_->channel(), *SecAggIdentity::From(devices_[0]->identity(), clock_));
  std::jthread run([&] {
    const auto outcome = secure.Run(devices_[0]->Entry(), uplink, bounds);
    EXPECT_TRUE(absl::IsCancelled(outcome.status())) << outcome.status();
  });
  while (fleet_->Sent("Await roster", devices_[0]->id()).empty()) std::this_thread::yield();
  stop.request_stop();
  run.join();
  devices_[0]->Restart();
  SendAll();
  ExpectMeanOf({0, 1, 2, 3, 4});
  ExpectOneMessage("Advertise", *devices_[0], 2);
}

}  // namespace
}  // namespace muster
