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
#include "muster/v1/enrolment.grpc.pb.h"
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
  ASSERT_TRUE(RevokeDevice(*context_, DeviceId::Trusted("thief"), "stolen", "operator/test").ok());
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
  ASSERT_TRUE(RevokeDevice(*context_, DeviceId::Trusted("thief"), "stolen", "operator/test").ok());
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

TEST_F(WireTest, RefusedCallsAreInTheAuditLogAndItVerifies) {
  AddDevice("thief");
  const auto thief = As(Role::kDevice, "thief");
  for (int i = 0; i < 3; ++i) CallEmpty(thief, "muster.v1.OperatorService/CreateToken");
  const auto stub = v1::OperatorService::NewStub(As(Role::kOperator, "ada"));
  v1::CreateTokenRequest order;
  order.set_uses(1);
  order.set_ttl_us(1'000'000);
  v1::CreateTokenResponse token;
  grpc::ClientContext first;
  ASSERT_TRUE(stub->CreateToken(&first, order, &token).ok());

  v1::ListAuditResponse listed;
  grpc::ClientContext second;
  ASSERT_TRUE(stub->ListAudit(&second, {}, &listed).ok());
  ASSERT_EQ(listed.rows_size(), 2);
  const bool refused_first = listed.rows(0).action() == "refused.PERMISSION_DENIED";
  const v1::AuditRow& refused = listed.rows(refused_first ? 0 : 1);
  const v1::AuditRow& created = listed.rows(refused_first ? 1 : 0);
  EXPECT_EQ(refused.actor(), "device/thief");
  EXPECT_EQ(refused.count(), 3u);
  EXPECT_EQ(created.action(), "token.create");
  EXPECT_EQ(created.actor(), "operator/ada");
  EXPECT_EQ(created.subject(), "token/" + token.info().id());

  v1::VerifyAuditResponse verified;
  v1::VerifyAuditRequest ask;
  const auto expect = [&](const std::string& chain, uint64_t number, const std::string& hash) {
    v1::AuditPlace* place = ask.add_expected();
    place->set_chain(chain);
    place->set_number(number);
    place->set_hash(hash);
  };
  expect(created.chain(), 1, created.hash());
  grpc::ClientContext third;
  ASSERT_TRUE(stub->VerifyAudit(&third, ask, &verified).ok());
  ASSERT_EQ(verified.chains_size(), 2);
  for (const v1::AuditChain& chain : verified.chains()) EXPECT_TRUE(chain.intact());

  ask.Clear();
  expect(created.chain(), 1, refused.hash());  // another row than the one that was seen
  expect(refused.chain(), 2, refused.hash());  // a row that was cut off
  expect("gone", 1, created.hash());           // a chain that was taken out
  verified.Clear();
  grpc::ClientContext fourth;
  ASSERT_TRUE(stub->VerifyAudit(&fourth, ask, &verified).ok());
  ASSERT_EQ(verified.chains_size(), 3);
  for (const v1::AuditChain& chain : verified.chains()) {
    EXPECT_FALSE(chain.intact()) << chain.chain();
    EXPECT_NE(chain.problem(), "") << chain.chain();
  }
}

TEST_F(WireTest, ABadJoinTokenIsInTheAuditLogWithoutTheToken) {
  const auto stub = v1::EnrolmentService::NewStub(As(std::nullopt));
  v1::EnrolRequest request;
  request.set_token("mjt_0123456789abcdef_" + std::string(64, 'a'));
  request.set_csr_der(MakeCertificateRequest(EcPrivateKey::Generate().value()).value());
  v1::EnrolResponse response;
  grpc::ClientContext context;
  const grpc::Status status = stub->Enrol(&context, request, &response);
  ASSERT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << status.error_message();
  ASSERT_TRUE(edge_->refusals().Flush(true).ok());
  ASSERT_TRUE(store_
                  ->Read([&](const StoreReader& reader) -> absl::Status {
                    const auto rows = reader.ListAudit({}, {}).value();
                    EXPECT_EQ(rows.size(), 1u);
                    for (const AuditRecord& row : rows) {
                      EXPECT_EQ(row.actor, "anonymous");
                      EXPECT_EQ(row.subject, "muster.v1.EnrolmentService/Enrol");
                      EXPECT_EQ(row.detail.find("aaaa"), std::string::npos);
                    }
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(WireTest, ARenewedCredentialIsForTheSamePersonAndKeepsItsEnd) {
  clock_.Advance(system_.Now() - clock_.Now());  // certificates live by the real one
  const auto key = EcPrivateKey::Generate().value();
  const auto request = MakeCertificateRequest(key).value();
  const auto before =
      authority_->SignCsr(request, Role::kResearcher, "ada", std::chrono::hours(3), system_.Now())
          .value();
  const auto channel = Connect("127.0.0.1:" + std::to_string(server_->port()),
                               {.ca_pem = authority_->ca_pem(),
                                .certificate_pem = before.certificate_pem,
                                .key_pem = key.ToPem()})
                           .value();
  v1::RenewRequest renew;
  renew.set_csr_der(request);
  v1::RenewResponse response;
  grpc::ClientContext context;
  const grpc::Status status =
      v1::EnrolmentService::NewStub(channel)->Renew(&context, renew, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const auto old_leaf = Certificate::FromPem(before.certificate_pem).value();
  const auto leaf = Certificate::FromPem(response.certificate_pem()).value();
  EXPECT_EQ(leaf.UriNames(), old_leaf.UriNames());
  EXPECT_NE(leaf.SerialHex(), old_leaf.SerialHex());
  EXPECT_LE(leaf.not_after(), old_leaf.not_after());
  EXPECT_GE(leaf.not_after() + std::chrono::seconds(2), old_leaf.not_after());
  EXPECT_EQ(response.ca_pem(), authority_->trust().ToPem());
  EXPECT_EQ(response.trust_generation(), 1u);
}

}  // namespace
}  // namespace muster
