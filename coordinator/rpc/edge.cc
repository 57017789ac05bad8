#include "coordinator/rpc/edge.h"

#include <grpc/grpc_security_constants.h>

#include "coordinator/drive/fleet.h"
#include "coordinator/rpc/access.h"
#include "proto/core/ids.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/x509/certificate.h"

namespace muster {
namespace {

// Certificates parsed before; above this many the cache starts anew.
constexpr size_t kMaxParsedCertificates = 20'000;

}  // namespace

absl::StatusOr<std::optional<Edge::Caller>> Edge::CallerOf(grpc::CallbackServerContext& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr) return std::optional<Caller>();
  const auto certificates = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (certificates.empty()) return std::optional<Caller>();
  const std::string pem(certificates.front().data(), certificates.front().size());
  {
    std::lock_guard lock(mutex_);
    if (auto known = parsed_.find(pem); known != parsed_.end()) return std::optional(known->second);
  }
  Caller caller;
  MUSTER_ASSIGN_OR_RETURN(caller.principal, PrincipalFromCertificatePem(pem, trust_domain_));
  MUSTER_ASSIGN_OR_RETURN(const Certificate leaf, Certificate::FromPem(pem));
  caller.not_after = leaf.not_after();
  std::lock_guard lock(mutex_);
  if (parsed_.size() >= kMaxParsedCertificates) parsed_.clear();
  parsed_.emplace(pem, caller);
  return std::optional(std::move(caller));
}

absl::StatusOr<std::optional<Principal>> Edge::AdmitCaller(grpc::CallbackServerContext& context,
                                                           std::string_view method) {
  MUSTER_ASSIGN_OR_RETURN(const std::optional<Caller> caller, CallerOf(context));
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
