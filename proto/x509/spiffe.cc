#include "proto/x509/spiffe.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proto/core/ids.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr size_t kMaxTrustDomainBytes = 255;

bool IsTrustDomainCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

}  // namespace

absl::Status ValidateTrustDomain(std::string_view trust_domain) {
  if (trust_domain.empty() || trust_domain.size() > kMaxTrustDomainBytes ||
      !std::all_of(trust_domain.begin(), trust_domain.end(), IsTrustDomainCharacter)) {
    return absl::InvalidArgumentError(
        "trust domain: expected 1 to 255 characters of a-z, 0-9, '.', '-' and '_', like "
        "muster.local");
  }
  return absl::OkStatus();
}

std::string SpiffeId::ToUri() const {
  return absl::StrCat("spiffe://", trust_domain, "/tenant/", tenant, "/", kind, "/", id);
}

absl::StatusOr<SpiffeId> SpiffeId::Parse(std::string_view uri) {
  if (uri.size() > kMaxSpiffeIdBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("SPIFFE ID: ", uri.size(), " bytes, at most ", kMaxSpiffeIdBytes, " allowed"));
  }
  absl::string_view rest(uri.data(), uri.size());
  std::vector<std::string> parts;
  if (absl::ConsumePrefix(&rest, "spiffe://")) parts = absl::StrSplit(rest, '/');
  if (parts.size() != 5 || parts[1] != "tenant") {
    return absl::InvalidArgumentError(
        "SPIFFE ID: expected spiffe://<trust domain>/tenant/<tenant>/<kind>/<id>");
  }
  MUSTER_RETURN_IF_ERROR(ValidateTrustDomain(parts[0]));
  MUSTER_RETURN_IF_ERROR(ValidateId("SPIFFE tenant", parts[2]));
  MUSTER_RETURN_IF_ERROR(ValidateId("SPIFFE kind", parts[3]));
  MUSTER_RETURN_IF_ERROR(ValidateId("SPIFFE id", parts[4]));
  return SpiffeId{parts[0], parts[2], parts[3], parts[4]};
}

}  // namespace muster
