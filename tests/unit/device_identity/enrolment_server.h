// A coordinator's enrolment door for tests: the real authority, a real gRPC server over real TLS,
// and one token that counts its uses.
#pragma once

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "coordinator/identity/authority.h"
#include "coordinator/identity/join_token.h"
#include "muster/v1/enrolment.grpc.pb.h"
#include "proto/transport/grpc_status.h"

namespace muster {

class EnrolmentServer final : public v1::EnrolmentService::CallbackService {
 public:
  struct Options {
    Timestamp server_certificate_from = SystemClock().Now();
    Duration server_lifetime = std::chrono::hours(24);
    Duration device_lifetime = std::chrono::hours(24);
    Duration device_certificate_age{0};  // how long ago devices' certificates are dated
  };

  EnrolmentServer(const std::filesystem::path& dir, Options options) : options_(options) {
    SystemRandom random;
    const Timestamp made = SystemClock().Now() - std::chrono::hours(24 * 30);
    (void)CertificateAuthority::Create(dir, random, made);
    authority_.emplace(*CertificateAuthority::Open(dir));
    token_ = MintJoinToken(random);
    package_key_.emplace(*EcPrivateKey::Generate());
    ServerCredential credential = *authority_->IssueServer({"localhost"}, options.server_lifetime,
                                                           options.server_certificate_from);
    grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = authority_->trust().ToPem();
    tls.pem_key_cert_pairs.push_back({credential.key_pem, credential.certificate_pem});
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~EnrolmentServer() override { server_->Shutdown(); }

  grpc::ServerUnaryReactor* Enrol(grpc::CallbackServerContext* context,
                                  const v1::EnrolRequest* request,
                                  v1::EnrolResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    absl::StatusOr<ParsedToken> token = ParseJoinToken(request->token());
    if (!token.ok()) return Finish(reactor, token.status());
    if (!SameSecretHash(token->secret_hash, token_.secret_hash)) {
      return Finish(reactor, absl::PermissionDeniedError("this token is unknown"));
    }
    ++enrolled_;
    const std::string name =
        request->requested_name().empty() ? "device-1" : request->requested_name();
    response->set_device_id(name);
    *response->mutable_labels() = request->labels();
    (*response->mutable_labels())["site"] = "a";
    response->set_package_key_pem(package_key_->PublicKey().ToPem());
    response->set_ca_pem(authority_->trust().ToPem());
    response->set_trust_generation(authority_->state().generation);
    return Finish(reactor, Sign(request->csr_der(), name, response->mutable_certificate_pem()));
  }

  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const v1::RenewRequest* request,
                                  v1::RenewResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    auto certificate = context->auth_context()->FindPropertyValues("x509_pem_cert");
    if (certificate.empty()) {
      return Finish(reactor, absl::UnauthenticatedError("a client certificate is needed"));
    }
    absl::StatusOr<Principal> caller = PrincipalFromCertificatePem(
        {certificate[0].data(), certificate[0].size()}, authority_->trust_domain());
    if (!caller.ok()) return Finish(reactor, caller.status());
    ++renewed_;
    response->set_ca_pem(authority_->trust().ToPem());
    response->set_trust_generation(authority_->state().generation);
    const std::string name = renew_as_.empty() ? caller->id : renew_as_;
    return Finish(reactor, Sign(request->csr_der(), name, response->mutable_certificate_pem()));
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string pin() const { return authority_->ca_pin(); }
  const std::string& token() const { return token_.text; }
  const CertificateAuthority& authority() const { return *authority_; }
  const EcPrivateKey& package_key() const { return *package_key_; }
  int enrolled() const { return enrolled_; }
  int renewed() const { return renewed_; }
  void set_device_certificate_age(Duration age) { options_.device_certificate_age = age; }
  void set_renew_as(std::string id) { renew_as_ = std::move(id); }  // misbehave: another device's

 private:
  static grpc::ServerUnaryReactor* Finish(grpc::ServerUnaryReactor* reactor,
                                          const absl::Status& status) {
    reactor->Finish(ToGrpcStatus(status));
    return reactor;
  }
  absl::Status Sign(const std::string& csr, const std::string& id, std::string* pem) {
    absl::StatusOr<IssuedCertificate> issued =
        authority_->SignCsr(csr, Role::kDevice, id, options_.device_lifetime,
                            SystemClock().Now() - options_.device_certificate_age);
    if (issued.ok()) *pem = issued->certificate_pem;
    return issued.status();
  }

  Options options_;
  std::optional<CertificateAuthority> authority_;
  std::optional<EcPrivateKey> package_key_;
  JoinToken token_;
  std::string renew_as_;
  std::atomic<int> enrolled_{0}, renewed_{0};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace muster
