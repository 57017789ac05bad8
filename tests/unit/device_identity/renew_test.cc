#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/identity/channel.h"
#include "client/identity/device_identity.h"
#include "client/identity/identity_files.h"
#include "proto/core/files.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/device_identity/enrolment_server.h"

namespace muster {
namespace {

using std::chrono_literals::operator""h;
using testing::HasSubstr;

class RenewTest : public testing::Test {
 protected:
  void Enrol(EnrolmentServer::Options options = {}) {
    server_ = std::make_unique<EnrolmentServer>(folder_.path() / "ca", options);
    auto identity = EnrolDevice({.state_dir = folder_.path(),
                                 .coordinator = server_->address(),
                                 .token = server_->token(),
                                 .ca_pin = server_->pin()});
    ASSERT_TRUE(identity.ok()) << identity.status();
    before_ = *identity;
  }
  std::string Credential() {
    return *ReadFile(folder_.path() / kIdentityFolder / kCredentialFile, kMaxPemBytes);
  }

  TempFolder folder_;
  std::unique_ptr<EnrolmentServer> server_;
  DeviceIdentity before_;
};

TEST_F(RenewTest, GivesANewKeyAndCertificateForTheSameDevice) {
  Enrol();
  auto renewed = RenewIdentity(folder_.path(), server_->address());
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_EQ(renewed->id, before_.id);
  EXPECT_EQ(renewed->labels, before_.labels);
  EXPECT_NE(renewed->key_pem, before_.key_pem);
  EXPECT_NE(renewed->certificate_pem, before_.certificate_pem);
  EXPECT_EQ(LoadIdentity(folder_.path())->key_pem, renewed->key_pem);
  auto again = RenewIdentity(folder_.path(), server_->address());
  EXPECT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(server_->renewed(), 2);
}

TEST_F(RenewTest, AnAnswerForAnotherDeviceLeavesTheOldCredential) {
  Enrol();
  const std::string credential = Credential();
  server_->set_renew_as("somebody-else");
  absl::Status status = RenewIdentity(folder_.path(), server_->address()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("somebody-else"));
  EXPECT_EQ(Credential(), credential);
}

TEST_F(RenewTest, ACoordinatorThatIsAwayLeavesTheOldCredential) {
  Enrol();
  const std::string credential = Credential();
  const std::string address = server_->address();
  server_.reset();
  EXPECT_FALSE(RenewIdentity(folder_.path(), address).ok());
  EXPECT_EQ(Credential(), credential);
}

TEST_F(RenewTest, AnExpiredCertificateIsSaidWithoutACall) {
  Enrol({.device_lifetime = 1h, .device_certificate_age = 2h});
  absl::Status status = RenewIdentity(folder_.path(), server_->address()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("join token"));
  EXPECT_EQ(server_->renewed(), 0);
}

TEST_F(RenewTest, NeedsAClientCertificate) {
  Enrol();
  auto channel = Connect(server_->address(), {.ca_pem = before_.ca_pem});
  ASSERT_TRUE(channel.ok());
  grpc::ClientContext context;
  v1::RenewRequest request;
  v1::RenewResponse response;
  grpc::Status status =
      v1::EnrolmentService::NewStub(*channel)->Renew(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(RenewTest, FallsDueAtTwoThirdsOfTheLifetime) {
  DeviceIdentity identity;
  identity.not_before = {0};
  identity.not_after = Timestamp{0} + 3h;
  EXPECT_FALSE(identity.DueForRenewal(Timestamp{0} + 2h - Duration(1)));
  EXPECT_TRUE(identity.DueForRenewal(Timestamp{0} + 2h));
  EXPECT_FALSE(identity.Expired(Timestamp{0} + 3h - Duration(1)));
  EXPECT_TRUE(identity.Expired(Timestamp{0} + 3h));
}

}  // namespace
}  // namespace muster
