// A device and the CAs that it trusts, over a rotation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/identity/device_identity.h"
#include "client/identity/identity_files.h"
#include "client/identity/trust_check.h"
#include "coordinator/identity/rotation.h"
#include "proto/core/files.h"
#include "proto/x509/trust_bundle.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/device_identity/enrolment_server.h"

namespace muster {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""s;
using testing::HasSubstr;

class TrustTest : public testing::Test {
 protected:
  TrustTest() {
    const Timestamp made = SystemClock().Now() - 720h;
    EXPECT_TRUE(CertificateAuthority::Create(ca(), random_, made).ok());
  }
  std::filesystem::path ca() const { return folder_.path() / "ca"; }
  // A coordinator with what is in the CA's folder now.
  void Serve() { server_ = std::make_unique<EnrolmentServer>(ca(), EnrolmentServer::Options{}); }
  absl::StatusOr<DeviceIdentity> Enrol() {
    return EnrolDevice({.state_dir = folder_.path(),
                        .coordinator = server_->address(),
                        .token = server_->token(),
                        .ca_pin = server_->pin()});
  }
  void Announce() { ASSERT_TRUE(AnnounceCa(ca(), random_, SystemClock().Now()).ok()); }
  void Switch() { ASSERT_TRUE(SwitchCa(ca()).ok()); }
  TrustUpdate Told() const {
    const auto authority = CertificateAuthority::Open(ca());
    return {authority->state().generation, authority->trust().ToPem()};
  }
  DeviceIdentity Loaded() const { return *LoadIdentity(folder_.path()); }
  std::string Explained(const DeviceIdentity& identity) const {
    return ExplainTrust(server_->address(), identity, SystemClock().Now(), 5s);
  }

  TempFolder folder_;
  SystemRandom random_;
  std::unique_ptr<EnrolmentServer> server_;
};

TEST_F(TrustTest, WhatWasAnnouncedIsKept) {
  Serve();
  const auto before = Enrol();
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(before->trust_generation, 1u);
  Announce();
  const auto adopted = AdoptTrust(folder_.path(), *before, Told());
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_EQ(Loaded().trust_generation, 2u);
  EXPECT_EQ(Loaded().ca_pem, Told().ca_pem);
  EXPECT_EQ(Loaded().certificate_pem, before->certificate_pem);
  // An older word, such as of a replica that is a step behind, changes nothing.
  EXPECT_EQ(AdoptTrust(folder_.path(), *adopted, {1, before->ca_pem})->trust_generation, 2u);
  EXPECT_EQ(Loaded().ca_pem, Told().ca_pem);
}

TEST_F(TrustTest, WhatWouldLockTheDeviceOutIsNotTaken) {
  Serve();
  const auto before = Enrol();
  const TempFolder other;
  ASSERT_TRUE(CertificateAuthority::Create(other.path(), random_, SystemClock().Now()).ok());
  const std::string foreign = CertificateAuthority::Open(other.path())->ca_pem();
  EXPECT_TRUE(absl::IsUnauthenticated(AdoptTrust(folder_.path(), *before, {2, foreign}).status()));
  for (const std::string& text : {std::string(), std::string("hello"), before->certificate_pem}) {
    EXPECT_TRUE(absl::IsInvalidArgument(AdoptTrust(folder_.path(), *before, {2, text}).status()));
  }
  EXPECT_EQ(Loaded().trust_generation, 1u);
  EXPECT_EQ(Loaded().ca_pem, before->ca_pem);
}

TEST_F(TrustTest, AWholeRotationNeedsNoEnrolment) {
  Serve();
  ASSERT_TRUE(Enrol().ok());
  Announce();
  Serve();
  auto identity = RenewIdentity(folder_.path(), server_->address());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->trust_generation, 2u) << "a renewal tells it too";
  Switch();
  Serve();
  identity = RenewIdentity(folder_.path(), server_->address());
  ASSERT_TRUE(identity.ok()) << identity.status();
  ASSERT_TRUE(RetireCa(ca()).ok());
  Serve();
  identity = RenewIdentity(folder_.path(), server_->address());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->trust_generation, 3u);
  EXPECT_EQ(identity->ca_pem, server_->authority().ca_pem());
  EXPECT_EQ(server_->enrolled(), 0);
}

TEST_F(TrustTest, WhoEnrolsInTheMiddleTrustsBoth) {
  Announce();
  Serve();
  ASSERT_TRUE(Enrol().ok());
  EXPECT_EQ(TrustBundle::FromPem(Loaded().ca_pem)->authorities().size(), 2u);
  EXPECT_EQ(Loaded().trust_generation, 2u);
}

TEST_F(TrustTest, AFileFromBeforeThereWereGenerationsIsTheFirst) {
  Serve();
  const auto before = Enrol();
  ASSERT_TRUE(
      WriteFileDurably(folder_.path() / kIdentityFolder / kPinnedCaFile, before->ca_pem).ok());
  EXPECT_EQ(Loaded().trust_generation, 1u);
  ASSERT_TRUE(WriteFileDurably(folder_.path() / kIdentityFolder / kPinnedCaFile,
                               "trust generation 0\n" + before->ca_pem)
                  .ok());
  EXPECT_TRUE(absl::IsDataLoss(LoadIdentity(folder_.path()).status()));
}

TEST_F(TrustTest, WhoMissedTheSwitchIsToldToEnrolAgain) {
  Serve();
  const auto before = Enrol();
  EXPECT_EQ(Explained(*before), "");
  Announce();
  Serve();
  EXPECT_EQ(Explained(*before), "");
  Switch();
  Serve();
  const std::string why = Explained(*before);
  EXPECT_THAT(why, HasSubstr(server_->pin()));
  EXPECT_THAT(why, HasSubstr("enrol it again"));
  EXPECT_THAT(why, HasSubstr("muster-client enroll"));
}

TEST_F(TrustTest, WhoMissedTheRenewalIsToldToEnrolAgain) {
  Serve();
  auto identity = Enrol();
  Announce();
  identity = AdoptTrust(folder_.path(), *identity, Told());
  ASSERT_TRUE(identity.ok());
  Switch();
  ASSERT_TRUE(RetireCa(ca()).ok());
  Serve();
  EXPECT_FALSE(RenewIdentity(folder_.path(), server_->address()).ok());
  EXPECT_THAT(Explained(*identity), HasSubstr("was retired"));
  EXPECT_THAT(Explained(*identity), HasSubstr("enrol it again"));
}

TEST_F(TrustTest, NobodyThereIsNoMatterOfTrust) {
  Serve();
  const auto before = Enrol();
  const std::string address = server_->address();
  server_.reset();
  EXPECT_EQ(ExplainTrust(address, *before, SystemClock().Now(), 5s), "");
}

}  // namespace
}  // namespace muster
