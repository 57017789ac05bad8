#include "coordinator/rpc/enrolment_service.h"

#include "coordinator/drive/audit.h"
#include "coordinator/drive/fleet.h"
#include "proto/codec/enrol_codec.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kEnrol[] = "muster.v1.EnrolmentService/Enrol";

}  // namespace

grpc::ServerUnaryReactor* EnrolmentServiceImpl::Enrol(grpc::CallbackServerContext* context,
                                                      const v1::EnrolRequest* request,
                                                      v1::EnrolResponse* response) {
  return Unary(
      edge_, context, kEnrol,
      [this, context, request, response](const std::optional<Principal>& caller) -> absl::Status {
        MUSTER_ASSIGN_OR_RETURN(const Enrolment enrolment, DecodeEnrolment(*request));
        DriveContext& drive = edge_.drive();
        const absl::StatusOr<Enrolled> answer =
            muster::Enrol(drive, authority_, lifetime_, enrolment);
        edge_.NoteRefusal(*context, caller, kEnrol, answer.status());
        MUSTER_ASSIGN_OR_RETURN(const Enrolled enrolled, answer);
        LogInfo("device enrolled", {{"device", enrolled.device.id.value()},
                                    {"labels", FormatLabels(enrolled.device.labels)}});
        *response = EncodeEnrolmentGrant({.device = enrolled.device.id,
                                          .certificate_pem = enrolled.certificate.certificate_pem,
                                          .ca_pem = authority_.trust().ToPem(),
                                          .package_key_pem = drive.signer.public_key_pem(),
                                          .labels = enrolled.device.labels,
                                          .trust_generation = authority_.state().generation});
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* EnrolmentServiceImpl::Renew(grpc::CallbackServerContext* context,
                                                      const v1::RenewRequest* request,
                                                      v1::RenewResponse* response) {
  return Unary(
      edge_, context, "muster.v1.EnrolmentService/Renew",
      [this, context, request, response](const std::optional<Principal>& caller) -> absl::Status {
        MUSTER_ASSIGN_OR_RETURN(const Renewal renewal, DecodeRenewal(*request));
        MUSTER_ASSIGN_OR_RETURN(const IssuedCertificate issued,
                                RenewFor(*context, *caller, renewal));
        *response = EncodeRenewalGrant({.certificate_pem = issued.certificate_pem,
                                        .ca_pem = authority_.trust().ToPem(),
                                        .trust_generation = authority_.state().generation});
        return absl::OkStatus();
      });
}

// How long people's credentials last, whoever made them decided: a renewal keeps the end.
absl::StatusOr<IssuedCertificate> EnrolmentServiceImpl::RenewFor(
    const grpc::CallbackServerContext& context, const Principal& caller, const Renewal& renewal) {
  if (caller.role == Role::kDevice) {
    return RenewDevice(edge_.drive(), authority_, lifetime_, DeviceId::Trusted(caller.id),
                       renewal.csr_der);
  }
  MUSTER_ASSIGN_OR_RETURN(const Timestamp end, edge_.CertificateEnd(context));
  const Timestamp now = edge_.drive().clock.Now();
  MUSTER_ASSIGN_OR_RETURN(IssuedCertificate issued, authority_.SignCsr(renewal.csr_der, caller.role,
                                                                       caller.id, end - now, now));
  DriveContext& drive = edge_.drive();
  MUSTER_RETURN_IF_ERROR(Transact(drive, [&](StoreTx& tx, AfterCommit&) {
    return Audit(tx, drive,
                 {.actor = NameOf(caller),
                  .action = audit::kCredentialRenew,
                  .subject = NameOf(caller),
                  .detail = StrCat("serial ", issued.serial, ", CA ", authority_.state().issuer)});
  }));
  return issued;
}

}  // namespace muster
