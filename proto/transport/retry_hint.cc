#include "proto/transport/retry_hint.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "proto/core/retry_after.h"
#include "proto/transport/grpc_status.h"

namespace muster {

grpc::Status ToWire(grpc::ServerContextBase& context, const absl::Status& status) {
  if (const auto wait = RetryAfter(status)) {
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(*wait);
    context.AddTrailingMetadata(kRetryPushback, std::to_string(rounded.count()));
  }
  return ToGrpcStatus(status);
}

absl::Status FromWire(const grpc::ClientContext& context, const grpc::Status& status) {
  absl::Status told = FromGrpcStatus(status);
  if (told.ok()) return told;
  const auto& trailing = context.GetServerTrailingMetadata();
  const auto found = trailing.find(kRetryPushback);
  if (found == trailing.end()) return told;
  const auto wait = ParsePushback({found->second.data(), found->second.size()});
  if (wait) SetRetryAfter(told, *wait);
  return told;
}

std::optional<Duration> ParsePushback(std::string_view text) {
  int64_t milliseconds = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), milliseconds);
  if (error != std::errc() || end != text.data() + text.size() || milliseconds < 0) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(std::min<int64_t>(
      milliseconds, std::chrono::duration_cast<std::chrono::milliseconds>(kMaxRetryAfter).count()));
}

}  // namespace muster
