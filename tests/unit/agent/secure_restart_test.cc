// kill -9 at every point at which a session's state is durable: the device goes on with the same
// bytes, or not at all.
#include "client/agent/secure_link.h"
#include "proto/core/files.h"
#include "tests/unit/agent/secure_fixture.h"

namespace muster {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Cut {
  const char* method;
  bool counts;  // whether the coordinator took it before the device was cut off
};
class SecureRestart : public SecureFixture, public testing::WithParamInterface<Cut> {};

// The device is cut off in one call for longer than it tries again by itself, is killed, and comes
// back with nothing but its files.
TEST_P(SecureRestart, GoesOnWithTheSameBytes) {
  const auto [method, counts] = GetParam();
  Start(MakeParams(secagg::Mode::kMalicious));
  SecureDevice& device = *devices_[0];
  fleet_->Fail(method, device.id(), kSecureCallTries, counts);
  std::jthread others([this] { SendAll({0}); });
  EXPECT_TRUE(absl::IsUnavailable(device.Send()));
  EXPECT_EQ(device.Entry().stage, Stage::kReady);
  device.Restart();
  const absl::Status sent = device.Send();
  EXPECT_TRUE(sent.ok()) << sent;
  others.join();
  ExpectMeanOf({0, 1, 2, 3, 4});
  for (const char* other : {"Advertise", "Share", "SubmitMasked", "Agree", "Unmask"}) {
    const bool cut = std::string(other) == method;
    ExpectOneMessage(other, device, cut ? kSecureCallTries + 1 : 1);
  }
  EXPECT_TRUE(fleet_->refusals().empty());
  EXPECT_EQ(device.Outcome(),
            std::string(method) == "Unmask" && counts ? "accepted before" : "accepted");
}
INSTANTIATE_TEST_SUITE_P(EveryCall, SecureRestart,
                         testing::Values(Cut{"Advertise", false}, Cut{"Advertise", true},
                                         Cut{"Share", false}, Cut{"Share", true},
                                         Cut{"SubmitMasked", false}, Cut{"SubmitMasked", true},
                                         Cut{"Agree", false}, Cut{"Agree", true},
                                         Cut{"Unmask", false}, Cut{"Unmask", true}),
                         [](const auto& param) {
                           return std::string(param.param.method) +
                                  (param.param.counts ? "LostReply" : "LostRequest");
                         });

class SecureRestartTest : public SecureFixture {
 protected:
  // The first device stops where a state is durable: all `method` calls find nobody.
  void StopAt(const std::string& method) {
    fleet_->Fail(method, devices_[0]->id(), kSecureCallTries, false);
    others_ = std::jthread([this] { SendAll({0}); });
    EXPECT_TRUE(absl::IsUnavailable(devices_[0]->Send()));
  }
  std::string RefusalOfFirstDevice() {
    EXPECT_TRUE(devices_[0]->Send().ok());
    others_.join();
    EXPECT_THAT(devices_[0]->Outcome(), StartsWith("given up: "));
    const std::vector<secagg::Refusal> refusals = fleet_->refusals();
    EXPECT_EQ(refusals.size(), 1u);
    return refusals.empty() ? "" : refusals[0].reason;
  }
  std::string Masked() {
    return *ReadFile(devices_[0]->dir().masked(devices_[0]->invocation().value()), 1u << 20);
  }

  std::jthread others_;
};

TEST_F(SecureRestartTest, AKillBeforeTheMaskedStateIsDurableGivesTheSameVectorAgain) {
  Start(MakeParams());
  SecureDevice& device = *devices_[0];
  StopAt("Await shares");
  const auto shared = *device.journal().FindSecAggSession(device.invocation());
  const std::string update = *ReadFile(device.dir().update(device.invocation().value()), 1u << 20);
  fleet_->Fail("SubmitMasked", device.id(), kSecureCallTries, false);
  EXPECT_TRUE(absl::IsUnavailable(device.Send()));
  const std::string first = Masked();
  EXPECT_FALSE(std::filesystem::exists(device.dir().update(device.invocation().value())))
      << "once the vector's digest is durable, nothing is left to mask again";

  // As if the power had failed between the vector and the state.
  ASSERT_TRUE(device.journal().PutSecAggSession(device.invocation(), *shared).ok());
  ASSERT_TRUE(WriteFileDurably(device.dir().update(device.invocation().value()), update).ok());
  device.Restart();
  EXPECT_TRUE(device.Send().ok());
  others_.join();
  v1::SubmitMaskedRequest sent;
  ASSERT_TRUE(sent.ParseFromString(fleet_->Sent("SubmitMasked", device.id()).back()));
  EXPECT_EQ(sent.vector(), Sha256(first).bytes());
  ExpectMeanOf({0, 1, 2, 3, 4});
}

TEST_F(SecureRestartTest, AVectorThatWasUploadedHalfwayIsResumed) {
  Start(MakeParams());
  fleet_->server().cut_uploads = 1;
  SendAll();
  ExpectMeanOf({0, 1, 2, 3, 4});
}

TEST_F(SecureRestartTest, AVectorWhoseUploadWasSweptMeanwhileIsUploadedAgain) {
  Start(MakeParams());
  StopAt("SubmitMasked");
  {
    std::lock_guard lock(fleet_->server().mutex);
    fleet_->server().staged.erase(Sha256(Masked()));
  }
  devices_[0]->Restart();
  EXPECT_TRUE(devices_[0]->Send().ok());
  others_.join();
  ExpectOneMessage("SubmitMasked", *devices_[0], kSecureCallTries + 2);
  ExpectMeanOf({0, 1, 2, 3, 4});
}

TEST_F(SecureRestartTest, WithoutItsKeyTheDeviceDropsOutAndSaysSo) {
  Start(MakeParams());
  StopAt("SubmitMasked");
  std::filesystem::remove(devices_[0]->dir().secagg_key());
  devices_[0]->Restart();
  EXPECT_THAT(RefusalOfFirstDevice(), HasSubstr("secagg.key is missing"));
  EXPECT_EQ(fleet_->refusals()[0].phase, secagg::Phase::kUnmask);
  EXPECT_EQ(fleet_->Sent("Advertise", devices_[0]->id()).size(), 1u) << "it never begins again";
  ExpectMeanOf({1, 2, 3, 4});
}

TEST_F(SecureRestartTest, AChangedStateIsLost) {
  Start(MakeParams());
  StopAt("Await shares");
  auto session = **devices_[0]->journal().FindSecAggSession(devices_[0]->invocation());
  session.sealed.back() ^= 1;
  ASSERT_TRUE(devices_[0]->journal().PutSecAggSession(devices_[0]->invocation(), session).ok());
  devices_[0]->Restart();
  EXPECT_THAT(RefusalOfFirstDevice(), HasSubstr("it was changed"));
  EXPECT_EQ(fleet_->refusals()[0].phase, secagg::Phase::kMasked);
  ExpectMeanOf({1, 2, 3, 4});
}

TEST_F(SecureRestartTest, ARefusalIsRepeatedUntilItIsHeard) {
  updates_[0][0] = HUGE_VALF;
  Start(MakeParams());
  StopAt("Refuse");
  EXPECT_EQ(devices_[0]->Entry().stage, Stage::kReady);
  devices_[0]->Restart();
  EXPECT_THAT(RefusalOfFirstDevice(), HasSubstr("infinity"));
  ExpectOneMessage("Refuse", *devices_[0], kSecureCallTries + 1);
  ExpectMeanOf({1, 2, 3, 4});
}

TEST_F(SecureRestartTest, ACertificateThatWasRenewedMeanwhileEndsTheSession) {
  Start(MakeParams());
  StopAt("Await shares");
  devices_[0]->Renew(authority_);
  EXPECT_THAT(RefusalOfFirstDevice(), HasSubstr("renewed while the session ran"));
  ExpectMeanOf({1, 2, 3, 4});
}

TEST_F(SecureRestartTest, ADeviceThatIsForgottenLeavesNoState) {
  Start(MakeParams());
  StopAt("Share");
  ASSERT_TRUE(devices_[0]->journal().MarkAnswered(devices_[0]->invocation(), "dropped: late").ok());
  EXPECT_FALSE((*devices_[0]->journal().FindSecAggSession(devices_[0]->invocation())).has_value());
  EXPECT_TRUE(devices_[0]->Send().ok());
  others_.join();
  ASSERT_EQ(fleet_->refusals().size(), 1u);
  EXPECT_EQ(fleet_->refusals()[0].reason, "dropped: late");
}

}  // namespace
}  // namespace muster
