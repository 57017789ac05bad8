// Bad, late and repeated updates are refused one by one, with a reason, and never spoil the round.
#include <cmath>
#include <limits>

#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

class RefusalTest : public SmallCoordinator {
 protected:
  void SetUp() override {
    SmallCoordinator::SetUp();
    good_ = AddDevice("good");
    bad_ = AddDevice("bad");
    spec_ = Spec(2);
    job_ = Submit(spec_);
    invocation_ = Arrive(bad_).invocations.at(0).id;
  }

  // The round goes on to its end with the good device alone.
  void ExpectTheRoundIsNotSpoiled() {
    EXPECT_EQ(TrainOnce(good_, spec_), Verdict::kAccepted);
    RunTasks();
    EXPECT_EQ(PhaseName(Job(job_).state), "succeeded");
    const auto flat = ReadVector(*blobs_, Weights(1), spec_.layout.total_size());
    ASSERT_TRUE(flat.ok());
    for (float value : *flat) EXPECT_TRUE(std::isfinite(value));
  }

  std::vector<float> Update(float fill = 0.1f) {
    return std::vector<float>(spec_.layout.shared_size(), fill);
  }

  DeviceId good_, bad_;
  JobSpec spec_;
  JobId job_;
  InvocationId invocation_;
};

TEST_F(RefusalTest, NotANumber) {
  auto update = Update();
  update[3] = std::numeric_limits<float>::quiet_NaN();
  const auto answer = Offer(bad_, invocation_, Stage(bad_, update));
  EXPECT_EQ(answer->verdict, Verdict::kRefused);
  EXPECT_NE(answer->reason.find("3"), std::string::npos) << answer->reason;
  ExpectTheRoundIsNotSpoiled();
}

TEST_F(RefusalTest, InfinityAtTheVeryEnd) {
  auto update = Update();
  update.back() = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(Offer(bad_, invocation_, Stage(bad_, update))->verdict, Verdict::kRefused);
  ExpectTheRoundIsNotSpoiled();
}

TEST_F(RefusalTest, AWrongShape) {
  auto update = Update();
  update.push_back(1.0f);
  const auto answer = Offer(bad_, invocation_, Stage(bad_, update));
  EXPECT_EQ(answer->verdict, Verdict::kRefused);
  EXPECT_NE(answer->reason.find("wrong shape"), std::string::npos);
  ExpectTheRoundIsNotSpoiled();
}

TEST_F(RefusalTest, ARefusalIsFinal) {
  auto update = Update(std::nanf(""));
  Offer(bad_, invocation_, Stage(bad_, update)).value();
  EXPECT_EQ(Offer(bad_, invocation_, Stage(bad_, Update()))->verdict, Verdict::kRefused);
  ExpectTheRoundIsNotSpoiled();
}

TEST_F(RefusalTest, ARepetitionCountsOnceAndADifferentSecondUpdateNotAtAll) {
  const Digest first = Stage(bad_, Update());
  EXPECT_EQ(Offer(bad_, invocation_, first)->verdict, Verdict::kAccepted);
  EXPECT_EQ(Offer(bad_, invocation_, first)->verdict, Verdict::kDuplicate);
  EXPECT_EQ(Offer(bad_, invocation_, Stage(bad_, Update(0.9f)))->verdict, Verdict::kRefused);
  EXPECT_EQ(std::get<Collecting>(Round(job_, 1).state).reported, 1u);
}

TEST_F(RefusalTest, ALateUpdate) {
  EXPECT_EQ(TrainOnce(good_, spec_), Verdict::kAccepted);
  clock_.Advance(std::chrono::minutes(2));
  RunTasks();
  const auto answer = Offer(bad_, invocation_, Stage(bad_, Update()));
  EXPECT_EQ(answer->verdict, Verdict::kRefused);
  EXPECT_NE(answer->reason.find("late"), std::string::npos) << answer->reason;
}

TEST_F(RefusalTest, AnotherDevicesInvocationLooksLikeNone) {
  const auto answer = Offer(good_, invocation_, Stage(good_, Update()));
  EXPECT_TRUE(absl::IsNotFound(answer.status()));
}

TEST_F(RefusalTest, AnUpdateThatWasNeverUploaded) {
  const auto answer = Offer(bad_, invocation_, Sha256("never"));
  EXPECT_FALSE(answer.ok());
  EXPECT_EQ(Offer(bad_, invocation_, Stage(bad_, Update()))->verdict, Verdict::kAccepted);
}

TEST_F(RefusalTest, AFailureIsCountedAndTheRoundDoesNotWait) {
  const ResultOffer failure{.invocation = invocation_, .failure = "out of memory"};
  EXPECT_EQ(AcceptResult(*context_, bad_, failure)->verdict, Verdict::kAccepted);
  EXPECT_EQ(AcceptResult(*context_, bad_, failure)->verdict, Verdict::kDuplicate);
  ExpectTheRoundIsNotSpoiled();
}

TEST_F(RefusalTest, ARevokedDeviceIsToldSoAndItsInvitationIsVoid) {
  ASSERT_TRUE(store_
                  ->Write([&](StoreTx& tx) {
                    DeviceRecord device = tx.FindDevice(bad_).value();
                    device.revoked = true;
                    device.revoked_reason = "stolen";
                    return tx.PutDevice(device);
                  })
                  .ok());
  const auto answer = dispatcher_->CheckIn(bad_, Ready());
  EXPECT_TRUE(absl::IsPermissionDenied(answer.status()));
}

}  // namespace
}  // namespace muster
