#include "coordinator/rpc/callers.h"

#include <arpa/inet.h>
#include <grpc/grpc_security_constants.h>

#include <algorithm>
#include <utility>

#include "proto/core/retry_after.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/x509/certificate.h"

namespace muster {
namespace {

// Certificates parsed before; above this many the cache starts anew.
constexpr size_t kMaxParsedCertificates = 20'000;

constexpr std::string_view kIpv6 = "ipv6:";
constexpr size_t kSiteBytes = 8;  // of an IPv6 address

std::string Unescaped(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view escape = text.substr(i, 3);
    if (escape == "%5B" || escape == "%5D" || escape == "%25") {
      plain += escape == "%5B" ? '[' : escape == "%5D" ? ']' : '%';
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace

std::string AddressOf(std::string_view peer) {
  const size_t port = peer.rfind(':');
  if (!peer.starts_with(kIpv6)) {
    return std::string(peer.starts_with("ipv4:") ? peer.substr(0, port) : peer);
  }
  std::string host = Unescaped(peer.substr(kIpv6.size(), port - kIpv6.size()));
  std::erase_if(host, [](char c) { return c == '[' || c == ']'; });
  host = host.substr(0, host.find('%'));  // the zone
  in6_addr address{};
  if (inet_pton(AF_INET6, host.c_str(), &address) != 1) return std::string(peer);
  // An IPv4 caller of a socket that takes both families.
  if (IN6_IS_ADDR_V4MAPPED(&address)) return "ipv4:" + host.substr(host.rfind(':') + 1);
  std::fill(address.s6_addr + kSiteBytes, address.s6_addr + sizeof(address.s6_addr), 0);
  char text[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &address, text, sizeof(text));
  return StrCat(kIpv6, std::string_view(text), "/64");
}

Callers::Callers(std::string trust_domain, const CallerLimits& limits)
    : trust_domain_(std::move(trust_domain)),
      identities_(limits.calls, limits.max_remembered),
      addresses_(limits.enrolments, limits.max_remembered) {}

absl::StatusOr<std::optional<KnownCaller>> Callers::CallerOf(
    const grpc::CallbackServerContext& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr) return std::optional<KnownCaller>();
  const auto certificates = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (certificates.empty()) return std::optional<KnownCaller>();
  const std::string_view pem(certificates.front().data(), certificates.front().size());
  const Digest fingerprint = Sha256(pem);
  {
    std::lock_guard lock(mutex_);
    const auto known = parsed_.find(fingerprint);
    if (known != parsed_.end()) return std::optional(known->second);
  }
  KnownCaller caller;
  const absl::StatusOr<Certificate> leaf = Certificate::FromPem(pem);
  if (!leaf.ok()) return absl::UnauthenticatedError("client certificate: it cannot be read");
  MUSTER_ASSIGN_OR_RETURN(caller.principal, PrincipalFromCertificate(*leaf, trust_domain_));
  caller.not_after = leaf->not_after();
  std::lock_guard lock(mutex_);
  if (parsed_.size() >= kMaxParsedCertificates) parsed_.clear();
  parsed_.emplace(fingerprint, caller);
  return std::optional(std::move(caller));
}

absl::Status Callers::Meter(const grpc::CallbackServerContext& context, Timestamp now) {
  const auto caller = CallerOf(context);
  if (caller.ok() && *caller) {
    const auto wait = identities_.Take(NameOf((*caller)->principal), now);
    if (!wait) return absl::OkStatus();
    return BusyError("more calls than one identity may make (--calls-per-second)", *wait);
  }
  const auto wait = addresses_.Take(AddressOf(context.peer()), now);
  if (!wait) return absl::OkStatus();
  return BusyError("more enrolments than one address may ask for (--enrolments-per-second)", *wait);
}

}  // namespace muster
