#include "coordinator/rpc/enrolment_service.h"

#include "coordinator/drive/fleet.h"
#include "proto/codec/enrol_codec.h"
#include "proto/core/log.h"
#include "proto/core/status.h"

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
                                          .ca_pem = authority_.ca_pem(),
                                          .package_key_pem = drive.signer.public_key_pem(),
                                          .labels = enrolled.device.labels});
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* EnrolmentServiceImpl::Renew(grpc::CallbackServerContext* context,
                                                      const v1::RenewRequest* request,
                                                      v1::RenewResponse* response) {
  return Unary(edge_, context, "muster.v1.EnrolmentService/Renew",
               [this, request, response](const std::optional<Principal>& caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const Renewal renewal, DecodeRenewal(*request));
                 MUSTER_ASSIGN_OR_RETURN(
                     const IssuedCertificate issued,
                     RenewDevice(edge_.drive(), authority_, lifetime_,
                                 DeviceId::Trusted(caller->id), renewal.csr_der));
                 *response = EncodeRenewalGrant({issued.certificate_pem, authority_.ca_pem()});
                 return absl::OkStatus();
               });
}

}  // namespace muster
