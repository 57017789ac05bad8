#include "coordinator/rpc/access.h"

#include <vector>

#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr AccessRule Anyone(std::string_view method) {
  return {.method = method, .anonymous = true};
}
constexpr AccessRule Devices(std::string_view method) { return {.method = method, .device = true}; }
constexpr AccessRule Researchers(std::string_view method) {
  return {.method = method, .researcher = true, .operator_ = true};
}
constexpr AccessRule Operators(std::string_view method) {
  return {.method = method, .operator_ = true};
}
constexpr AccessRule AllIdentified(std::string_view method) {
  return {.method = method, .device = true, .researcher = true, .operator_ = true};
}

constexpr AccessRule kRules[] = {
    Anyone("muster.v1.EnrolmentService/Enrol"),
    AllIdentified("muster.v1.EnrolmentService/Renew"),
    Devices("muster.v1.DeviceService/CheckIn"),
    Devices("muster.v1.DeviceService/SubmitUpdate"),
    Devices("muster.v1.DeviceService/SubmitResult"),
    Devices("muster.v1.DeviceService/ReportState"),
    Devices("muster.v1.SecureAggregationService/Join"),
    Devices("muster.v1.SecureAggregationService/Advertise"),
    Devices("muster.v1.SecureAggregationService/Share"),
    Devices("muster.v1.SecureAggregationService/SubmitMasked"),
    Devices("muster.v1.SecureAggregationService/Agree"),
    Devices("muster.v1.SecureAggregationService/Unmask"),
    Devices("muster.v1.SecureAggregationService/Refuse"),
    Devices("muster.v1.SecureAggregationService/Await"),
    AllIdentified("muster.v1.BlobService/StatUpload"),
    AllIdentified("muster.v1.BlobService/Upload"),
    AllIdentified("muster.v1.BlobService/Download"),
    Researchers("muster.v1.OperatorService/SubmitJob"),
    Researchers("muster.v1.OperatorService/ListJobs"),
    Researchers("muster.v1.OperatorService/GetJob"),
    Researchers("muster.v1.OperatorService/WatchJob"),
    Researchers("muster.v1.OperatorService/CancelJob"),
    Researchers("muster.v1.OperatorService/ListModels"),
    Researchers("muster.v1.OperatorService/GetModel"),
    Researchers("muster.v1.OperatorService/GetUsage"),
    Operators("muster.v1.OperatorService/CreateToken"),
    Operators("muster.v1.OperatorService/ListTokens"),
    Operators("muster.v1.OperatorService/RevokeToken"),
    Operators("muster.v1.OperatorService/ListDevices"),
    Operators("muster.v1.OperatorService/GetDevice"),
    Operators("muster.v1.OperatorService/RevokeDevice"),
    Operators("muster.v1.OperatorService/Promote"),
    Operators("muster.v1.OperatorService/GetPromotion"),
    Operators("muster.v1.OperatorService/RollBack"),
    Operators("muster.v1.OperatorService/ListAudit"),
    Operators("muster.v1.OperatorService/VerifyAudit"),
};

bool Allows(const AccessRule& rule, Role role) {
  switch (role) {
    case Role::kDevice:
      return rule.device;
    case Role::kResearcher:
      return rule.researcher;
    case Role::kOperator:
      return rule.operator_;
  }
  return false;
}

std::string AllowedRoles(const AccessRule& rule) {
  std::vector<std::string_view> roles;
  for (Role role : {Role::kDevice, Role::kResearcher, Role::kOperator}) {
    if (Allows(rule, role)) roles.push_back(RoleName(role));
  }
  return StrJoin(roles, " or ");
}

}  // namespace

std::span<const AccessRule> AccessRules() { return kRules; }

absl::Status CheckAccess(std::string_view method, const std::optional<Principal>& caller) {
  for (const AccessRule& rule : kRules) {
    if (rule.method != method) continue;
    if (rule.anonymous) return absl::OkStatus();
    if (!caller) {
      return absl::UnauthenticatedError(StrCat(method, " needs a client certificate (role ",
                                               AllowedRoles(rule), "); none was presented"));
    }
    if (Allows(rule, caller->role)) return absl::OkStatus();
    return absl::PermissionDeniedError(StrCat(method, " is for the role ", AllowedRoles(rule), "; ",
                                              RoleName(caller->role), " ", caller->id,
                                              " called it"));
  }
  return absl::PermissionDeniedError(StrCat(method, " is open to nobody"));
}

}  // namespace muster
