// The real server over real mTLS on loopback: every RPC with every role and with none, a revoked
// device, and messages above the limit.
#include <grpc/grpc_security_constants.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "coordinator/drive/fleet.h"
#include "coordinator/rpc/access.h"
#include "muster/v1/device.grpc.pb.h"
#include "muster/v1/operator.grpc.pb.h"
#include "proto/core/limits.h"
#include "proto/transport/channel.h"
#include "tests/unit/rpc/wire_fixture.h"

namespace muster {
namespace {

TEST_F(WireTest, EveryRpcRefusesEveryRoleThatTheTableDoesNotName) {
  AddDevice("caller");
  const std::pair<std::optional<Role>, std::shared_ptr<grpc::Channel>> callers[] = {
      {std::nullopt, As(std::nullopt)},
      {Role::kDevice, As(Role::kDevice)},
      {Role::kResearcher, As(Role::kResearcher)},
      {Role::kOperator, As(Role::kOperator)},
  };
  for (const AccessRule& rule : AccessRules()) {
    for (const auto& [role, channel] : callers) {
      const grpc::StatusCode code = CallEmpty(channel, rule.method);
      const bool allowed = rule.anonymous || (role == Role::kDevice && rule.device) ||
                           (role == Role::kResearcher && rule.researcher) ||
                           (role == Role::kOperator && rule.operator_);
      const std::string who = role ? std::string(RoleName(*role)) : "nobody";
      if (allowed) {
        EXPECT_NE(code, grpc::StatusCode::UNAUTHENTICATED) << rule.method << " as " << who;
        EXPECT_NE(code, grpc::StatusCode::PERMISSION_DENIED) << rule.method << " as " << who;
      } else {
        EXPECT_EQ(code,
                  role ? grpc::StatusCode::PERMISSION_DENIED : grpc::StatusCode::UNAUTHENTICATED)
            << rule.method << " as " << who;
      }
    }
  }
}

TEST_F(WireTest, ARevokedDeviceIsRefusedAtItsNextCallOnTheSameConnection) {
  AddDevice("thief");
  const auto channel = As(Role::kDevice, "thief");
  EXPECT_EQ(CallEmpty(channel, "muster.v1.DeviceService/CheckIn"),
            grpc::StatusCode::INVALID_ARGUMENT);  // admitted; an empty check-in says too little
  ASSERT_TRUE(RevokeDevice(*context_, DeviceId::Trusted("thief"), "stolen").ok());
  EXPECT_EQ(CallEmpty(channel, "muster.v1.DeviceService/CheckIn"),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(WireTest, ARevokedDeviceIsRefusedOnAResumedSessionToo) {
  AddDevice("thief");
  const TlsMaterial credential = CredentialOf("thief");
  const TlsSessions sessions;
  bool resumed = true;
  EXPECT_EQ(CheckInAnew(credential, sessions, &resumed), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_FALSE(resumed);
  EXPECT_EQ(CheckInAnew(credential, sessions, &resumed), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(resumed);
  ASSERT_TRUE(RevokeDevice(*context_, DeviceId::Trusted("thief"), "stolen").ok());
  EXPECT_EQ(CheckInAnew(credential, sessions, &resumed), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(resumed);
}

TEST_F(WireTest, AnExpiredCertificateIsRefusedOnKeptConnectionsAndOnResumedSessions) {
  AddDevice("old");
  const TlsMaterial credential = CredentialOf("old");
  const TlsSessions sessions;
  bool resumed = false;
  EXPECT_EQ(CheckInAnew(credential, sessions, &resumed), grpc::StatusCode::INVALID_ARGUMENT);
  const auto kept = Connect("127.0.0.1:" + std::to_string(server_->port()), credential).value();
  EXPECT_EQ(CallEmpty(kept, "muster.v1.DeviceService/CheckIn"), grpc::StatusCode::INVALID_ARGUMENT);

  // Both the kept connection and the session were begun while the certificate was good.
  clock_.Advance(system_.Now() + std::chrono::hours(1) - clock_.Now());
  EXPECT_EQ(CallEmpty(kept, "muster.v1.DeviceService/CheckIn"), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(CheckInAnew(credential, sessions, &resumed), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(resumed);
}

TEST_F(WireTest, ADeviceThatWasNeverEnrolledIsRefusedWhateverItsCertificate) {
  EXPECT_EQ(CallEmpty(As(Role::kDevice, "stranger"), "muster.v1.DeviceService/CheckIn"),
            grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(WireTest, AMessageAboveTheLimitIsRefused) {
  auto stub = v1::OperatorService::NewStub(As(Role::kOperator));
  v1::SubmitJobRequest request;
  request.mutable_spec()->set_name(std::string(limits::kMaxMessageBytes + 1, 'x'));
  grpc::ClientContext context;
  v1::SubmitJobResponse response;
  const grpc::Status status = stub->SubmitJob(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
}

TEST_F(WireTest, ACertificateOfAnotherAuthorityDoesNotGetThrough) {
  ASSERT_TRUE(CertificateAuthority::Create(folder_ / "other", random_, system_.Now()).ok());
  const auto other = CertificateAuthority::Open(folder_ / "other").value();
  const auto key = EcPrivateKey::Generate().value();
  const auto issued = other
                          .SignCsr(MakeCertificateRequest(key).value(), Role::kOperator, "eve",
                                   std::chrono::hours(1), system_.Now())
                          .value();
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(kCoordinatorName);
  const auto channel =
      grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                grpc::SslCredentials({.pem_root_certs = authority_->ca_pem(),
                                                      .pem_private_key = key.ToPem(),
                                                      .pem_cert_chain = issued.certificate_pem}),
                                arguments);
  EXPECT_EQ(CallEmpty(channel, "muster.v1.OperatorService/ListJobs"),
            grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace muster
