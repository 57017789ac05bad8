// The real server over real mTLS on loopback.
#pragma once

#include <grpc/grpc_security_constants.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/rpc/server.h"
#include "muster/v1/device.grpc.pb.h"
#include "proto/transport/channel.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "tests/support/small_coordinator.h"

namespace muster {

class WireTest : public SmallCoordinator {
 protected:
  void SetUp() override {
    SmallCoordinator::SetUp();
    ASSERT_TRUE(CertificateAuthority::Create(folder_ / "ca", random_, system_.Now()).ok());
    authority_.emplace(CertificateAuthority::Open(folder_ / "ca").value());
    Serve({});
  }
  // Again with other limits, or on a socket of the test's.
  void Serve(const EdgeLimits& limits, size_t max_connections = 1000, size_t queue_limit = 100,
             std::vector<UniqueFd> inherited = {}) {
    server_.reset();
    executor_.emplace(2, queue_limit);
    edge_.emplace(*context_, *executor_, counters_, authority_->trust_domain(), limits);
    const ServerCredential credential =
        authority_->IssueServer({}, std::chrono::hours(1), system_.Now()).value();
    server_ = RpcServer::Start({.listen = "127.0.0.1:0",
                                .inherited = std::move(inherited),
                                .max_connections = max_connections,
                                .ca_pem = authority_->ca_pem(),
                                .certificate_pem = credential.certificate_pem,
                                .key_pem = credential.key_pem,
                                .device_certificate_lifetime = std::chrono::hours(1)},
                               *edge_, *dispatcher_, *intake_, *authority_)
                  .value();
  }
  void TearDown() override {
    server_.reset();
    executor_.reset();
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
  std::optional<Executor> executor_;
  RpcCounters counters_;
  std::optional<CertificateAuthority> authority_;
  std::optional<Edge> edge_;
  std::unique_ptr<RpcServer> server_;
};

}  // namespace muster
