#include "coordinator/identity/spiffe.h"

#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/core/status.h"
#include "proto/x509/spiffe.h"

namespace muster {
namespace {

constexpr std::array kRoles = {Role::kDevice, Role::kResearcher, Role::kOperator};

absl::Status Refused(std::string_view why) {
  return absl::UnauthenticatedError(absl::StrCat("client certificate: ", std::string(why)));
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kDevice:
      return "device";
    case Role::kResearcher:
      return "researcher";
    case Role::kOperator:
      return "operator";
  }
  return "unknown";
}

absl::StatusOr<Role> ParseRole(std::string_view name) {
  for (Role role : kRoles) {
    if (RoleName(role) == name) return role;
  }
  return absl::InvalidArgumentError("role: expected device, researcher or operator");
}

std::string NameOf(const std::optional<Principal>& caller) {
  if (!caller) return "anonymous";
  return absl::StrCat(std::string(RoleName(caller->role)), "/", caller->id);
}

std::string PrincipalUri(Role role, std::string_view id, std::string_view trust_domain) {
  return SpiffeId{std::string(trust_domain), kDefaultTenant, std::string(RoleName(role)),
                  std::string(id)}
      .ToUri();
}

absl::StatusOr<Principal> PrincipalFromCertificatePem(std::string_view leaf_pem,
                                                      std::string_view trust_domain) {
  const absl::StatusOr<Certificate> leaf = Certificate::FromPem(leaf_pem);
  if (!leaf.ok()) return Refused("it cannot be read");
  return PrincipalFromCertificate(*leaf, trust_domain);
}

absl::StatusOr<Principal> PrincipalFromCertificate(const Certificate& leaf,
                                                   std::string_view trust_domain) {
  if (leaf.IsCa()) return Refused("it is a CA certificate, which identifies no caller");
  const std::vector<std::string> uris = leaf.UriNames();
  if (uris.size() != 1) {
    return Refused(absl::StrCat("it carries ", uris.size(), " URI names, expected exactly one"));
  }
  absl::StatusOr<SpiffeId> spiffe = SpiffeId::Parse(uris.front());
  if (!spiffe.ok()) return Refused("its URI name is not a SPIFFE ID of this system");
  if (spiffe->trust_domain != trust_domain || spiffe->tenant != kDefaultTenant) {
    return Refused("it belongs to another trust domain or tenant");
  }
  absl::StatusOr<Role> role = ParseRole(spiffe->kind);
  if (!role.ok()) return Refused("its SPIFFE ID names no role that may call");
  return Principal{*role, spiffe->id, leaf.SerialHex()};
}

}  // namespace muster
