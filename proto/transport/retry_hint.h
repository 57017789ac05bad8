// The retry hint of a refusal on the wire: gRPC's own pushback (gRFC A6), the trailing metadata
// "grpc-retry-pushback-ms".
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "proto/core/time.h"

namespace muster {

inline constexpr char kRetryPushback[] = "grpc-retry-pushback-ms";

// What a server sends for `status`: with the hint in the trailing metadata if there is one. To be
// called once, before Finish.
grpc::Status ToWire(grpc::ServerContextBase& context, const absl::Status& status);

// What a client got, with the hint inside the Status; after the call ended.
absl::Status FromWire(const grpc::ClientContext& context, const grpc::Status& status);

// Nothing for what is no number of milliseconds, or negative ("do not retry").
std::optional<Duration> ParsePushback(std::string_view text);

}  // namespace muster
