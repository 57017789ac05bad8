#include "proto/codec/enrol_codec.h"

#include "proto/codec/field.h"
#include "proto/core/limits.h"

namespace muster {
namespace {

using wire::Field;
using wire::Refuse;

constexpr char kDerSequence = 0x30;  // X.690: every certification request starts with it

absl::Status CheckCsr(const Field& at, const std::string& der) {
  if (der.empty()) return Refuse(at, "is not set");
  if (der.size() > limits::kMaxCsrBytes) {
    return Refuse(at, StrCat(der.size(), " bytes are above the limit of ", limits::kMaxCsrBytes));
  }
  if (der[0] != kDerSequence) return Refuse(at, "is no DER; send a PKCS#10 request in DER");
  return absl::OkStatus();
}

absl::Status CheckPem(const Field& at, const std::string& pem) {
  MUSTER_RETURN_IF_ERROR(wire::CheckText(at, pem, limits::kMaxPemBytes));
  if (pem.rfind("-----BEGIN ", 0) != 0) return Refuse(at, "is no PEM");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Enrolment> DecodeEnrolment(const v1::EnrolRequest& wire) {
  const Field at("enrolment.EnrolRequest");
  Enrolment decoded;
  if (wire.token().empty()) return Refuse(at["token"], "is not set");
  MUSTER_RETURN_IF_ERROR(wire::CheckWord(at["token"], wire.token(), limits::kMaxTokenBytes));
  decoded.token = wire.token();
  MUSTER_RETURN_IF_ERROR(CheckCsr(at["csr_der"], wire.csr_der()));
  decoded.csr_der = wire.csr_der();
  MUSTER_ASSIGN_OR_RETURN(decoded.requested_name, wire::DecodeOptionalId<DeviceId>(
                                                      at["requested_name"], wire.requested_name()));
  MUSTER_ASSIGN_OR_RETURN(decoded.labels, wire::DecodeLabels(at["labels"], wire.labels()));
  return decoded;
}

v1::EnrolRequest EncodeEnrolment(const Enrolment& enrolment) {
  v1::EnrolRequest wire;
  wire.set_token(enrolment.token);
  wire.set_csr_der(enrolment.csr_der);
  wire.set_requested_name(enrolment.requested_name.value());
  wire::EncodeLabels(enrolment.labels, wire.mutable_labels());
  return wire;
}

absl::StatusOr<EnrolmentGrant> DecodeEnrolmentGrant(const v1::EnrolResponse& wire) {
  const Field at("enrolment.EnrolResponse");
  EnrolmentGrant decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.device,
                          wire::DecodeId<DeviceId>(at["device_id"], wire.device_id()));
  MUSTER_RETURN_IF_ERROR(CheckPem(at["certificate_pem"], wire.certificate_pem()));
  MUSTER_RETURN_IF_ERROR(CheckPem(at["ca_pem"], wire.ca_pem()));
  MUSTER_RETURN_IF_ERROR(CheckPem(at["package_key_pem"], wire.package_key_pem()));
  decoded.certificate_pem = wire.certificate_pem();
  decoded.ca_pem = wire.ca_pem();
  decoded.package_key_pem = wire.package_key_pem();
  MUSTER_ASSIGN_OR_RETURN(decoded.labels, wire::DecodeLabels(at["labels"], wire.labels()));
  MUSTER_RETURN_IF_ERROR(
      wire::CheckAtMost(at["trust_generation"], wire.trust_generation(), INT64_MAX));
  decoded.trust_generation = wire.trust_generation();
  return decoded;
}

v1::EnrolResponse EncodeEnrolmentGrant(const EnrolmentGrant& grant) {
  v1::EnrolResponse wire;
  wire.set_device_id(grant.device.value());
  wire.set_certificate_pem(grant.certificate_pem);
  wire.set_ca_pem(grant.ca_pem);
  wire.set_package_key_pem(grant.package_key_pem);
  wire::EncodeLabels(grant.labels, wire.mutable_labels());
  wire.set_trust_generation(grant.trust_generation);
  return wire;
}

absl::StatusOr<Renewal> DecodeRenewal(const v1::RenewRequest& wire) {
  const Field at("enrolment.RenewRequest");
  MUSTER_RETURN_IF_ERROR(CheckCsr(at["csr_der"], wire.csr_der()));
  return Renewal{wire.csr_der()};
}

v1::RenewRequest EncodeRenewal(const Renewal& renewal) {
  v1::RenewRequest wire;
  wire.set_csr_der(renewal.csr_der);
  return wire;
}

absl::StatusOr<RenewalGrant> DecodeRenewalGrant(const v1::RenewResponse& wire) {
  const Field at("enrolment.RenewResponse");
  MUSTER_RETURN_IF_ERROR(CheckPem(at["certificate_pem"], wire.certificate_pem()));
  MUSTER_RETURN_IF_ERROR(CheckPem(at["ca_pem"], wire.ca_pem()));
  MUSTER_RETURN_IF_ERROR(
      wire::CheckAtMost(at["trust_generation"], wire.trust_generation(), INT64_MAX));
  return RenewalGrant{wire.certificate_pem(), wire.ca_pem(), wire.trust_generation()};
}

v1::RenewResponse EncodeRenewalGrant(const RenewalGrant& grant) {
  v1::RenewResponse wire;
  wire.set_certificate_pem(grant.certificate_pem);
  wire.set_ca_pem(grant.ca_pem);
  wire.set_trust_generation(grant.trust_generation);
  return wire;
}

}  // namespace muster
