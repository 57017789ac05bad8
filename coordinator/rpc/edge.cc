#include "coordinator/rpc/edge.h"

#include <grpc/grpc_security_constants.h>

#include "coordinator/drive/fleet.h"
#include "coordinator/rpc/access.h"
#include "proto/core/ids.h"
#include "proto/core/status.h"

namespace muster {
namespace {

// Certificates parsed before; above this many the cache starts anew.
constexpr size_t kMaxParsedCertificates = 20'000;

}  // namespace

absl::StatusOr<std::optional<Principal>> Edge::CallerOf(grpc::CallbackServerContext& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr) return std::optional<Principal>();
  const auto certificates = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (certificates.empty()) return std::optional<Principal>();
  const std::string pem(certificates.front().data(), certificates.front().size());
  {
    std::lock_guard lock(mutex_);
    if (auto known = parsed_.find(pem); known != parsed_.end()) return std::optional(known->second);
  }
  MUSTER_ASSIGN_OR_RETURN(Principal principal, PrincipalFromCertificatePem(pem, trust_domain_));
  std::lock_guard lock(mutex_);
  if (parsed_.size() >= kMaxParsedCertificates) parsed_.clear();
  parsed_.emplace(pem, principal);
  return std::optional(std::move(principal));
}

absl::StatusOr<std::optional<Principal>> Edge::Admit(grpc::CallbackServerContext& context,
                                                     std::string_view method) {
  MUSTER_ASSIGN_OR_RETURN(std::optional<Principal> caller, CallerOf(context));
  MUSTER_RETURN_IF_ERROR(CheckAccess(method, caller));
  if (caller && caller->role == Role::kDevice) {
    MUSTER_RETURN_IF_ERROR(CheckStanding(drive_, DeviceId::Trusted(caller->id)));
  }
  return caller;
}

}  // namespace muster
