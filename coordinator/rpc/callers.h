// Who calls, and how often they may: one token bucket for each identity, and one for each address
// that calls without an identity.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/flow/rate_table.h"
#include "coordinator/identity/spiffe.h"
#include "coordinator/rpc/edge_limits.h"
#include "proto/core/digest.h"
#include "proto/core/time.h"

namespace muster {

// Whom a certificate stands for, and until when.
struct KnownCaller {
  Principal principal;
  Timestamp not_after;
};

class Callers {
 public:
  Callers(std::string trust_domain, const CallerLimits& limits);

  // By the certificate's SPIFFE ID; nothing for a caller without a certificate.
  absl::StatusOr<std::optional<KnownCaller>> CallerOf(const grpc::CallbackServerContext& context);

  // ResourceExhausted, with a hint when to come back, for a caller above its rate. Certificates
  // that name nobody count against their address.
  absl::Status Meter(const grpc::CallbackServerContext& context, Timestamp now);

  const RateTable& identities() const { return identities_; }
  const RateTable& addresses() const { return addresses_; }

 private:
  const std::string trust_domain_;
  RateTable identities_, addresses_;
  std::mutex mutex_;
  std::map<Digest, KnownCaller> parsed_;  // by the PEM's SHA-256; bounded
};

// The address in gRPC's "ipv4:192.0.2.1:5555" or "ipv6:%5B2001:db8::1%5D:5555": of IPv6 the /64,
// which one site has. What is of another form stays whole.
std::string AddressOf(std::string_view peer);

}  // namespace muster
