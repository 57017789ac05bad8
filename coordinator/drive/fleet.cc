#include "coordinator/drive/fleet.h"

#include <utility>

#include "coordinator/drive/audit.h"
#include "coordinator/drive/offers.h"
#include "coordinator/drive/transitions.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kDeviceSuffixBytes = 5;
constexpr char kServingJob[] = "serving";

std::string TokenSubject(const TokenRecord& token) { return StrCat("token/", token.id.value()); }
std::string DeviceSubject(const DeviceId& id) { return StrCat("device/", id.value()); }
std::string CertificateDetail(const IssuedCertificate& issued) {
  return StrCat("serial=", issued.serial, " until=", issued.not_after.ToString());
}

// Says the same for an unknown token and a wrong secret, and compares in constant time.
absl::StatusOr<TokenRecord> CheckToken(const StoreReader& reader, const ParsedToken& presented,
                                       Timestamp now) {
  const absl::Status unknown = absl::UnauthenticatedError(
      "the join token is not known here; ask an operator for one (`muster tokens create`)");
  auto token = reader.FindToken(presented.id);
  if (absl::IsNotFound(token.status())) return unknown;
  MUSTER_RETURN_IF_ERROR(token.status());
  if (!SameSecretHash(token->secret_hash, presented.secret_hash)) return unknown;
  if (token->revoked) {
    return absl::PermissionDeniedError(
        StrCat("join token ", token->id.value(), " was revoked; ask an operator for another"));
  }
  if (now >= token->expires) {
    return absl::PermissionDeniedError(StrCat("join token ", token->id.value(), " expired at ",
                                              token->expires.ToString(),
                                              "; ask an operator for another"));
  }
  if (token->used >= token->uses) {
    return absl::PermissionDeniedError(StrCat("join token ", token->id.value(), " was used ",
                                              token->used, " of ", token->uses,
                                              " times; ask an operator for another"));
  }
  return *std::move(token);
}

}  // namespace

absl::StatusOr<MintedToken> CreateToken(DriveContext& context, uint32_t uses, Duration ttl,
                                        const Labels& labels, const std::string& by) {
  MUSTER_RETURN_IF_ERROR(ValidateLabels(labels));
  JoinToken token = MintJoinToken(context.random);
  const Timestamp now = context.clock.Now();
  MintedToken minted{.text = token.text,
                     .record = {.id = token.id,
                                .secret_hash = token.secret_hash,
                                .uses = uses,
                                .created = now,
                                .expires = now + ttl,
                                .labels = labels}};
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit&) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.PutToken(minted.record));
    return Audit(tx, context,
                 {.actor = by,
                  .action = audit::kTokenCreate,
                  .subject = TokenSubject(minted.record),
                  .detail = StrCat("uses=", uses, " expires=", minted.record.expires.ToString(),
                                   " labels=", FormatLabels(labels))});
  }));
  return minted;
}

absl::StatusOr<TokenRecord> RevokeToken(DriveContext& context, const TokenId& id,
                                        const std::string& by) {
  TokenRecord token;
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit&) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(token, tx.FindToken(id));
    if (token.revoked) return absl::OkStatus();
    token.revoked = true;
    MUSTER_RETURN_IF_ERROR(tx.PutToken(token));
    return Audit(tx, context,
                 {.actor = by, .action = audit::kTokenRevoke, .subject = TokenSubject(token)});
  }));
  return token;
}

absl::StatusOr<Enrolled> Enrol(DriveContext& context, const CertificateAuthority& authority,
                               Duration lifetime, const Enrolment& request) {
  MUSTER_ASSIGN_OR_RETURN(const ParsedToken presented, ParseJoinToken(request.token));
  const std::string suffix = context.random.Hex(kDeviceSuffixBytes);
  Enrolled enrolled;
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit&) -> absl::Status {
    const Timestamp now = context.clock.Now();
    MUSTER_ASSIGN_OR_RETURN(TokenRecord token, CheckToken(tx, presented, now));
    const DeviceId id =
        request.requested_name.empty() ? DeviceId::Trusted("d-" + suffix) : request.requested_name;
    DeviceRecord device{.id = id, .labels = request.labels, .enrolled = now};
    // A revoked name stays taken: its old certificate must never become valid again.
    auto existing = tx.FindDevice(id);
    if (existing.ok()) {
      return absl::AlreadyExistsError(StrCat("a device named ", id.value(),
                                             existing->revoked ? " was revoked" : " is enrolled",
                                             "; choose another --name, or none to be given one"));
    }
    if (!absl::IsNotFound(existing.status())) return existing.status();
    for (const auto& [key, value] : token.labels) device.labels[key] = value;
    MUSTER_RETURN_IF_ERROR(ValidateLabels(device.labels));
    MUSTER_ASSIGN_OR_RETURN(enrolled.certificate,
                            authority.SignDeviceCsr(request.csr_der, id, lifetime, now));
    device.certificate_serial = enrolled.certificate.serial;
    device.certificate_expires = enrolled.certificate.not_after;
    device.certificate_ca = authority.state().issuer;
    device.trust_generation = authority.state().generation;
    MUSTER_RETURN_IF_ERROR(tx.PutDevice(device));
    ++token.used;
    MUSTER_RETURN_IF_ERROR(tx.PutToken(token));
    enrolled.device = device;
    return Audit(tx, context,
                 {.actor = TokenSubject(token),
                  .action = audit::kDeviceEnrol,
                  .subject = DeviceSubject(id),
                  .detail = StrCat("labels=", FormatLabels(device.labels), " ",
                                   CertificateDetail(enrolled.certificate))});
  }));
  return enrolled;
}

absl::StatusOr<IssuedCertificate> RenewDevice(DriveContext& context,
                                              const CertificateAuthority& authority,
                                              Duration lifetime, const DeviceId& id,
                                              const std::string& csr_der) {
  IssuedCertificate issued;
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit&) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(DeviceRecord device, tx.FindDevice(id));
    MUSTER_ASSIGN_OR_RETURN(issued,
                            authority.SignDeviceCsr(csr_der, id, lifetime, context.clock.Now()));
    device.certificate_serial = issued.serial;
    device.certificate_expires = issued.not_after;
    device.certificate_ca = authority.state().issuer;
    MUSTER_RETURN_IF_ERROR(tx.PutDevice(device));
    return Audit(tx, context,
                 {.actor = DeviceSubject(id),
                  .action = audit::kDeviceRenew,
                  .subject = DeviceSubject(id),
                  .detail = CertificateDetail(issued)});
  }));
  return issued;
}

absl::StatusOr<DeviceRecord> RevokeDevice(DriveContext& context, const DeviceId& id,
                                          const std::string& reason, const std::string& by) {
  DeviceRecord device;
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(device, tx.FindDevice(id));
    if (device.revoked) return absl::OkStatus();
    device.revoked = true;
    device.revoked_reason = reason;
    MUSTER_RETURN_IF_ERROR(tx.PutDevice(device));
    MUSTER_RETURN_IF_ERROR(Audit(tx, context,
                                 {.actor = by,
                                  .action = audit::kDeviceRevoke,
                                  .subject = DeviceSubject(id),
                                  .detail = StrCat("reason=", reason)}));
    // Whatever it was asked to do will not be done.
    const Timestamp now = context.clock.Now();
    MUSTER_ASSIGN_OR_RETURN(auto open, tx.ListOpenInvocations(id));
    for (InvocationRecord& invocation : open) {
      invocation.status = InvocationStatus::kFailed;
      invocation.reason = "the device was revoked";
      invocation.finished = now;
      MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
      if (invocation.function != FunctionKind::kTrain) continue;
      MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound(invocation.round));
      MUSTER_RETURN_IF_ERROR(
          ApplyToRound(tx, after, round, DeviceFailed{id, invocation.reason}, now, context.options)
              .status());
    }
    after.Wake(DeviceKey(id));
    return absl::OkStatus();
  }));
  return device;
}

absl::Status RecordState(DriveContext& context, const DeviceId& id, const StateReport& report) {
  return Transact(context, [&](StoreTx& tx, AfterCommit&) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(DeviceRecord device, tx.FindDevice(id));
    device.applied_generation = report.generation;
    device.models = report.models;
    const bool counted = !report.report_id.empty() && device.last_report_id == report.report_id;
    device.last_report_id = report.report_id;
    MUSTER_RETURN_IF_ERROR(tx.PutDevice(device));
    if (counted) return absl::OkStatus();
    return CountUsage(tx, kServingJob, id, report.metering, 1);
  });
}

absl::StatusOr<DeviceRecord> FindInGoodStanding(const StoreReader& reader, const DeviceId& id) {
  absl::StatusOr<DeviceRecord> device = reader.FindDevice(id);
  if (absl::IsNotFound(device.status())) {
    return absl::UnauthenticatedError(
        StrCat("device ", id.value(), " is not enrolled here; enrol it with a join token"));
  }
  if (device.ok() && device->revoked) {
    return absl::PermissionDeniedError(
        StrCat("device ", id.value(), " was revoked: ", device->revoked_reason,
               "; an operator must enrol it again with a new join token"));
  }
  return device;
}

absl::Status CheckStanding(const DriveContext& context, const DeviceId& id) {
  return context.store.Read([&](const StoreReader& reader) -> absl::Status {
    return FindInGoodStanding(reader, id).status();
  });
}

}  // namespace muster
