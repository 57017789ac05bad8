// The real server over real mTLS on loopback: every RPC with every role and with none, a revoked
// device, and messages above the limit.
#include <grpc/grpc_security_constants.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "coordinator/drive/fleet.h"
#include "coordinator/rpc/access.h"
#include "coordinator/rpc/server.h"
#include "muster/v1/device.grpc.pb.h"
#include "muster/v1/operator.grpc.pb.h"
#include "proto/core/limits.h"
#include "proto/transport/channel.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

class WireTest : public SmallCoordinator {
 protected:
  void SetUp() override {
    SmallCoordinator::SetUp();
    ASSERT_TRUE(CertificateAuthority::Create(folder_ / "ca", random_, system_.Now()).ok());
    authority_.emplace(CertificateAuthority::Open(folder_ / "ca").value());
    edge_.emplace(*context_, executor_, counters_, authority_->trust_domain());
    const ServerCredential credential =
        authority_->IssueServer({}, std::chrono::hours(1), system_.Now()).value();
    server_ = RpcServer::Start({.listen = "127.0.0.1:0",
                                .ca_pem = authority_->ca_pem(),
                                .certificate_pem = credential.certificate_pem,
                                .key_pem = credential.key_pem,
                                .device_certificate_lifetime = std::chrono::hours(1)},
                               *edge_, *dispatcher_, *intake_, *authority_)
                  .value();
  }
  void TearDown() override {
    server_.reset();
    SmallCoordinator::TearDown();
  }

  // A device's credential, for an hour.
  TlsMaterial CredentialOf(const std::string& device) {
    const auto key = EcPrivateKey::Generate().value();
    const auto issued = authority_
                            ->SignCsr(MakeCertificateRequest(key).value(), Role::kDevice, device,
                                      std::chrono::hours(1), system_.Now())
                            .value();
    return {.ca_pem = authority_->ca_pem(),
            .certificate_pem = issued.certificate_pem,
            .key_pem = key.ToPem()};
  }

  // One empty check-in over a new connection; whether it resumed a session of `sessions`.
  grpc::StatusCode CheckInAnew(const TlsMaterial& credential, const TlsSessions& sessions,
                               bool* resumed) {
    const auto channel =
        Connect("127.0.0.1:" + std::to_string(server_->port()), credential, sessions).value();
    grpc::ClientContext context;
    v1::CheckInResponse response;
    const grpc::Status status =
        v1::DeviceService::NewStub(channel)->CheckIn(&context, v1::CheckInRequest(), &response);
    const auto reused =
        context.auth_context()->FindPropertyValues(GRPC_SSL_SESSION_REUSED_PROPERTY);
    *resumed = !reused.empty() && reused.front() == "true";
    return status.error_code();
  }

  // A channel as `role`, or without a certificate.
  std::shared_ptr<grpc::Channel> As(std::optional<Role> role, const std::string& id = "caller") {
    grpc::SslCredentialsOptions tls{.pem_root_certs = authority_->ca_pem()};
    if (role) {
      const auto key = EcPrivateKey::Generate().value();
      const auto issued = authority_
                              ->SignCsr(MakeCertificateRequest(key).value(), *role, id,
                                        std::chrono::hours(1), system_.Now())
                              .value();
      tls.pem_private_key = key.ToPem();
      tls.pem_cert_chain = issued.certificate_pem;
    }
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(kCoordinatorName);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                     grpc::SslCredentials(tls), arguments);
  }

  // Sends one empty message and hears the call to its end, whatever kind of call it is.
  static grpc::StatusCode CallEmpty(const std::shared_ptr<grpc::Channel>& channel,
                                    std::string_view method) {
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    grpc::CompletionQueue queue;
    auto call = stub.PrepareCall(&context, "/" + std::string(method), &queue);
    const auto next = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      queue.Next(&tag, &ok);
      return ok;
    };
    call->StartCall(nullptr);
    next();
    call->WriteLast(grpc::ByteBuffer(nullptr, 0), {}, nullptr);
    next();
    grpc::ByteBuffer reply;
    do {
      call->Read(&reply, nullptr);
    } while (next());
    grpc::Status status;
    call->Finish(&status, nullptr);
    next();
    return status.error_code();
  }

  SystemClock system_;
  Executor executor_{2, 100};
  RpcCounters counters_;
  std::optional<CertificateAuthority> authority_;
  std::optional<Edge> edge_;
  std::unique_ptr<RpcServer> server_;
};

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
