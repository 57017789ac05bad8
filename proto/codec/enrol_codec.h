// Enrolment and renewal between wire messages and values, for both ends. Checks shapes and limits;
// whether a token is good, a CSR well signed or a certificate trusted is for the identity rooms.
// InvalidArgument with the field's path, never with the token. Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "muster/v1/enrolment.pb.h"
#include "proto/core/enrol_messages.h"

namespace muster {

namespace limits {
inline constexpr size_t kMaxTokenBytes = 256;
inline constexpr size_t kMaxPemBytes = 64u << 10;  // a chain of certificates, or a key
}  // namespace limits

absl::StatusOr<Enrolment> DecodeEnrolment(const v1::EnrolRequest& wire);
v1::EnrolRequest EncodeEnrolment(const Enrolment& enrolment);

absl::StatusOr<EnrolmentGrant> DecodeEnrolmentGrant(const v1::EnrolResponse& wire);
v1::EnrolResponse EncodeEnrolmentGrant(const EnrolmentGrant& grant);

absl::StatusOr<Renewal> DecodeRenewal(const v1::RenewRequest& wire);
v1::RenewRequest EncodeRenewal(const Renewal& renewal);

absl::StatusOr<RenewalGrant> DecodeRenewalGrant(const v1::RenewResponse& wire);
v1::RenewResponse EncodeRenewalGrant(const RenewalGrant& grant);

}  // namespace muster
