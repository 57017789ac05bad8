// Enrolment and renewal: the two calls of EnrolmentService.
#include <grpcpp/client_context.h>

#include <chrono>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/identity/channel.h"
#include "client/identity/device_identity.h"
#include "client/identity/identity_files.h"
#include "client/identity/pinned_ca.h"
#include "client/identity/tls_fetch.h"
#include "muster/v1/enrolment.grpc.pb.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/transport/retry_hint.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "proto/x509/trust_bundle.h"

namespace muster {
namespace {

constexpr std::chrono::seconds kFetchTimeout{10};

void SetDeadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + limits::kDefaultRpcDeadline);
}

// A device enrols once. An identity that has expired may be replaced: it is of no use to anyone.
absl::Status CheckNotEnrolled(const std::filesystem::path& state_dir, Timestamp now) {
  absl::StatusOr<DeviceIdentity> present = LoadIdentity(state_dir);
  if (!present.ok()) {
    return absl::IsNotFound(present.status()) ? absl::OkStatus() : present.status();
  }
  if (present->Expired(now)) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat("this device has enrolled already as ", present->id.value(), "; remove ",
                   (state_dir / kIdentityFolder).string(), " to enrol it anew"));
}

// Before the token is spent: a folder that cannot be written would lose what it bought.
absl::Status PrepareFolder(const std::filesystem::path& state_dir) {
  const std::filesystem::path dir = state_dir / kIdentityFolder;
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return ErrnoStatus(error.value(), "making the identity folder", dir);
  std::filesystem::permissions(dir, std::filesystem::perms::owner_all, error);
  if (error) return ErrnoStatus(error.value(), "protecting the identity folder", dir);
  const std::filesystem::path probe = dir / "write-probe";
  MUSTER_RETURN_IF_ERROR(WriteFileDurably(probe, std::string(kMaxDeviceFileBytes, ' ')));
  std::filesystem::remove(probe, error);
  return absl::OkStatus();
}

// Of the first replica that answers.
absl::StatusOr<std::vector<Certificate>> FetchAnyChain(const std::vector<HostPort>& servers) {
  absl::StatusOr<std::vector<Certificate>> chain = absl::UnavailableError("no address");
  for (const HostPort& server : servers) {
    chain = FetchServerChain(server, kFetchTimeout);
    if (chain.ok()) return chain;
  }
  return chain;
}

absl::StatusOr<v1::EnrolResponse> CallEnrol(const EnrolOptions& options, const std::string& ca_pem,
                                            std::string csr) {
  MUSTER_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel,
                          Connect(options.coordinator, {.ca_pem = ca_pem}));
  v1::EnrolRequest request;
  request.set_token(options.token);
  request.set_csr_der(std::move(csr));
  request.set_requested_name(options.requested_name);
  request.mutable_labels()->insert(options.labels.begin(), options.labels.end());
  v1::EnrolResponse response;
  grpc::ClientContext context;
  SetDeadline(context);
  grpc::Status status = v1::EnrolmentService::NewStub(channel)->Enrol(&context, request, &response);
  WipeString(*request.mutable_token());
  if (!status.ok()) return Annotate(FromWire(context, status), "enrolling");
  return response;
}

absl::StatusOr<v1::RenewResponse> CallRenew(const std::string& coordinator,
                                            const DeviceIdentity& identity, std::string csr) {
  MUSTER_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel,
                          ConnectCoordinator(coordinator, identity));
  v1::RenewRequest request;
  request.set_csr_der(std::move(csr));
  v1::RenewResponse response;
  grpc::ClientContext context;
  SetDeadline(context);
  grpc::Status status = v1::EnrolmentService::NewStub(channel)->Renew(&context, request, &response);
  if (!status.ok())
    return Annotate(FromWire(context, status), "renewing this device's certificate");
  return response;
}

// The pinned CA, and those beside it while one takes over from another.
absl::Status TakeTrust(const v1::EnrolResponse& response, const Certificate& pinned,
                       DeviceIdentity& identity) {
  identity.ca_pem = pinned.ToPem();
  if (response.trust_generation() == 0) return absl::OkStatus();  // of an older coordinator
  absl::StatusOr<TrustBundle> trust = TrustBundle::FromPem(response.ca_pem());
  if (!trust.ok()) {
    return Annotate(trust.status(), "the coordinator's answer to the enrolment");
  }
  if (!trust->Contains(pinned)) {
    return absl::UnauthenticatedError(
        "the coordinator's answer to the enrolment does not name the pinned CA among those that "
        "are trusted");
  }
  identity.ca_pem = trust->ToPem();
  identity.trust_generation = response.trust_generation();
  return absl::OkStatus();
}

// Before the new credential is kept, so that there is no moment at which what is kept does not hang
// together. What does not fit the present certificate comes with a later check-in.
absl::Status TakeTrust(const std::filesystem::path& state_dir, const v1::RenewResponse& response,
                       DeviceIdentity& present) {
  absl::StatusOr<DeviceIdentity> adopted =
      AdoptTrust(state_dir, present, {response.trust_generation(), response.ca_pem()});
  if (absl::IsUnauthenticated(adopted.status())) return absl::OkStatus();
  if (!adopted.ok()) return Annotate(adopted.status(), "the coordinator's answer to the renewal");
  present = *std::move(adopted);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DeviceIdentity> EnrolDevice(const EnrolOptions& options) {
  const Timestamp now = SystemClock().Now();
  MUSTER_RETURN_IF_ERROR(ValidateLabels(options.labels));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<HostPort> servers,
                          HostPort::ParseList(options.coordinator));
  MUSTER_RETURN_IF_ERROR(ParseCertificatePin(options.ca_pin).status());
  MUSTER_RETURN_IF_ERROR(CheckNotEnrolled(options.state_dir, now));
  MUSTER_RETURN_IF_ERROR(PrepareFolder(options.state_dir));
  MUSTER_ASSIGN_OR_RETURN(std::vector<Certificate> chain, FetchAnyChain(servers));
  MUSTER_ASSIGN_OR_RETURN(Certificate ca, FindPinnedCa(chain, options.ca_pin, now));
  MUSTER_ASSIGN_OR_RETURN(EcPrivateKey key, EcPrivateKey::Generate());
  MUSTER_ASSIGN_OR_RETURN(std::string csr, MakeCertificateRequest(key));
  MUSTER_ASSIGN_OR_RETURN(v1::EnrolResponse response,
                          CallEnrol(options, ca.ToPem(), std::move(csr)));
  DeviceIdentity identity;
  MUSTER_ASSIGN_OR_RETURN(identity.id, DeviceId::Parse(response.device_id()));
  identity.key_pem = key.ToPem();
  identity.certificate_pem = response.certificate_pem();
  MUSTER_RETURN_IF_ERROR(TakeTrust(response, ca, identity));
  identity.package_key_pem = response.package_key_pem();
  identity.labels = {response.labels().begin(), response.labels().end()};
  MUSTER_RETURN_IF_ERROR(ValidateLabels(identity.labels));
  absl::Status complete = CompleteIdentity(identity);
  if (!complete.ok()) return Annotate(complete, "the coordinator's answer to the enrolment");
  MUSTER_RETURN_IF_ERROR(SaveNewIdentity(options.state_dir, identity));
  return identity;
}

absl::StatusOr<DeviceIdentity> RenewIdentity(const std::filesystem::path& state_dir,
                                             const std::string& coordinator) {
  MUSTER_ASSIGN_OR_RETURN(DeviceIdentity present, LoadIdentity(state_dir));
  const Timestamp now = SystemClock().Now();
  if (present.Expired(now)) {
    return absl::FailedPreconditionError(
        absl::StrCat("this device's certificate expired at ", present.not_after.ToString(),
                     " and the clock here says ", now.ToString(),
                     "; correct the clock, or enrol again with a new join token"));
  }
  MUSTER_ASSIGN_OR_RETURN(EcPrivateKey key, EcPrivateKey::Generate());
  MUSTER_ASSIGN_OR_RETURN(std::string csr, MakeCertificateRequest(key));
  MUSTER_ASSIGN_OR_RETURN(v1::RenewResponse response,
                          CallRenew(coordinator, present, std::move(csr)));
  MUSTER_RETURN_IF_ERROR(TakeTrust(state_dir, response, present));
  DeviceIdentity renewed = present;
  renewed.key_pem = key.ToPem();
  renewed.certificate_pem = response.certificate_pem();
  absl::Status complete = CompleteIdentity(renewed);
  if (!complete.ok()) return Annotate(complete, "the coordinator's answer to the renewal");
  MUSTER_RETURN_IF_ERROR(ReplaceCredential(state_dir, renewed));
  return renewed;
}

}  // namespace muster
