#include "coordinator/rpc/edge.h"

#include "coordinator/drive/fleet.h"
#include "coordinator/rpc/access.h"
#include "proto/core/ids.h"
#include "proto/core/retry_after.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

absl::Status Edge::Enter(grpc::CallbackServerContext& context, std::function<void()> work) {
  if (const absl::Status metered = callers_.Meter(context, drive_.clock.Now()); !metered.ok()) {
    const auto caller = callers_.CallerOf(context);
    std::optional<Principal> principal;
    if (caller.ok() && *caller) principal = (*caller)->principal;
    NoteRefusal(context, principal, "", metered);
    return metered;
  }
  if (executor_.Post(std::move(work))) return absl::OkStatus();
  return BusyError("the coordinator's queue is full", limits::kBusyRetry);
}

absl::Status Edge::Identify(grpc::CallbackServerContext& context, std::string_view method,
                            std::optional<Principal>& principal) {
  MUSTER_ASSIGN_OR_RETURN(const std::optional<KnownCaller> caller, callers_.CallerOf(context));
  if (caller) {
    principal = caller->principal;
    // TLS looks at a certificate when a session begins. A connection lives longer than that, and so
    // does a session that is resumed: neither may outlive the certificate.
    if (drive_.clock.Now() >= caller->not_after) {
      return absl::UnauthenticatedError(StrCat(
          "the certificate of ", RoleName(principal->role), " ", principal->id, " expired at ",
          caller->not_after.ToString(), "; renew it, or enrol again with a new join token"));
    }
  }
  return CheckAccess(method, principal);
}

absl::StatusOr<std::optional<Principal>> Edge::AdmitCaller(grpc::CallbackServerContext& context,
                                                           std::string_view method) {
  std::optional<Principal> principal;
  const absl::Status judged = Identify(context, method, principal);
  if (judged.ok()) return principal;
  NoteRefusal(context, principal, method, judged);
  return judged;
}

absl::StatusOr<std::optional<Principal>> Edge::Admit(grpc::CallbackServerContext& context,
                                                     std::string_view method) {
  MUSTER_ASSIGN_OR_RETURN(std::optional<Principal> caller, AdmitCaller(context, method));
  if (caller && caller->role == Role::kDevice) {
    const absl::Status standing = CheckStanding(drive_, DeviceId::Trusted(caller->id));
    NoteRefusal(context, caller, method, standing);
    MUSTER_RETURN_IF_ERROR(standing);
  }
  return caller;
}

void Edge::NoteRefusal(grpc::CallbackServerContext& context, const std::optional<Principal>& caller,
                       std::string_view method, const absl::Status& status) {
  if (status.ok()) return;
  const std::string peer = context.peer();  // "ipv4:192.0.2.7:4711"
  refusals_.Note(caller, method, status, std::string_view(peer).substr(0, peer.rfind(':')));
}

absl::StatusOr<Timestamp> Edge::CertificateEnd(const grpc::CallbackServerContext& context) {
  MUSTER_ASSIGN_OR_RETURN(const std::optional<KnownCaller> caller, callers_.CallerOf(context));
  if (!caller) return absl::UnauthenticatedError("no certificate was presented");
  return caller->not_after;
}

}  // namespace muster
