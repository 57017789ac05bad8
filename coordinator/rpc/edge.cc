#include "coordinator/rpc/edge.h"

#include "coordinator/drive/fleet.h"
#include "coordinator/rpc/access.h"
#include "proto/core/ids.h"
#include "proto/core/retry_after.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

absl::Status Edge::Enter(grpc::CallbackServerContext& context, std::function<void()> work) {
  MUSTER_RETURN_IF_ERROR(callers_.Meter(context, drive_.clock.Now()));
  if (executor_.Post(std::move(work))) return absl::OkStatus();
  return BusyError("the coordinator's queue is full", limits::kBusyRetry);
}

absl::StatusOr<std::optional<Principal>> Edge::AdmitCaller(grpc::CallbackServerContext& context,
                                                           std::string_view method) {
  MUSTER_ASSIGN_OR_RETURN(const std::optional<KnownCaller> caller, callers_.CallerOf(context));
  std::optional<Principal> principal;
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
  MUSTER_RETURN_IF_ERROR(CheckAccess(method, principal));
  return principal;
}

absl::StatusOr<std::optional<Principal>> Edge::Admit(grpc::CallbackServerContext& context,
                                                     std::string_view method) {
  MUSTER_ASSIGN_OR_RETURN(std::optional<Principal> caller, AdmitCaller(context, method));
  if (caller && caller->role == Role::kDevice) {
    MUSTER_RETURN_IF_ERROR(CheckStanding(drive_, DeviceId::Trusted(caller->id)));
  }
  return caller;
}

}  // namespace muster
