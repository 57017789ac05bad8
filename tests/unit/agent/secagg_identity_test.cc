#include "client/agent/secagg_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/agent/secure_device.h"

namespace muster {
namespace {

using testing::HasSubstr;

class SecAggIdentityTest : public testing::Test {
 protected:
  std::shared_ptr<const SecAggIdentity> Load(const DeviceIdentity& identity) {
    return *SecAggIdentity::From(identity, clock_);
  }
  // What `verifier` says to a statement that `signer` signed.
  absl::Status Judge(const SecAggIdentity& verifier, const SecAggIdentity& signer,
                     const std::string& client) {
    return verifier.Verify(DeviceId::Trusted(client), signer.certificate(), "statement",
                           *signer.Sign("statement"));
  }

  SystemClock clock_;
  TestAuthority authority_;
  std::shared_ptr<const SecAggIdentity> own_ = Load(authority_.IssueDevice("me"));
};

TEST_F(SecAggIdentityTest, DevicesOfOneFleetAcceptEachOther) {
  const auto other = Load(authority_.IssueDevice("other"));
  EXPECT_EQ(other->id().value(), "other");
  const absl::Status status = Judge(*own_, *other, "other");
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(SecAggIdentityTest, ASignatureIsForOneStatementAndOneDevice) {
  const auto other = Load(authority_.IssueDevice("other"));
  EXPECT_TRUE(absl::IsUnauthenticated(Judge(*own_, *other, "me")));
  EXPECT_TRUE(absl::IsUnauthenticated(
      own_->Verify(other->id(), other->certificate(), "changed", *other->Sign("statement"))));
  EXPECT_TRUE(absl::IsUnauthenticated(
      own_->Verify(other->id(), other->certificate(), "statement", *own_->Sign("statement"))));
  EXPECT_TRUE(absl::IsUnauthenticated(
      own_->Verify(other->id(), "no certificate", "statement", *other->Sign("statement"))));
  EXPECT_TRUE(absl::IsUnauthenticated(
      own_->Verify(other->id(), other->certificate(), "statement", "no signature")));
}

TEST_F(SecAggIdentityTest, ACertificateOfAnotherAuthorityIsRefused) {
  const TestAuthority elsewhere;
  EXPECT_TRUE(
      absl::IsUnauthenticated(Judge(*own_, *Load(elsewhere.IssueDevice("other")), "other")));
}

TEST_F(SecAggIdentityTest, AnExpiredCertificateIsRefused) {
  const auto expired =
      Load(authority_.Issue("spiffe://muster.local/tenant/default/device/other",
                            DeviceId::Trusted("other"), -std::chrono::minutes(30)));
  EXPECT_TRUE(absl::IsUnauthenticated(Judge(*own_, *expired, "other")));
}

TEST_F(SecAggIdentityTest, OnlyDevicesOfTheSameTrustDomainTakePart) {
  DeviceIdentity person = authority_.Issue("spiffe://muster.local/tenant/default/researcher/other",
                                           DeviceId::Trusted("other"));
  EXPECT_FALSE(SecAggIdentity::From(person, clock_).ok());
  const auto certificate = Certificate::FromPem(person.certificate_pem)->ToDer();
  const auto key = *EcPrivateKey::FromPem(person.key_pem);
  EXPECT_THAT(std::string(own_->Verify(DeviceId::Trusted("other"), certificate, "statement",
                                       *key.Sign("statement"))
                              .message()),
              HasSubstr("is not a device's"));
  const auto abroad = Load(authority_.Issue("spiffe://elsewhere/tenant/default/device/other",
                                            DeviceId::Trusted("other")));
  EXPECT_TRUE(absl::IsUnauthenticated(Judge(*own_, *abroad, "other")));
}

TEST_F(SecAggIdentityTest, ACertificateThatNamesAnotherDeviceIsNoIdentity) {
  DeviceIdentity mixed = authority_.IssueDevice("other");
  mixed.id = DeviceId::Trusted("me");
  EXPECT_TRUE(absl::IsDataLoss(SecAggIdentity::From(mixed, clock_).status()));
}

}  // namespace
}  // namespace muster
