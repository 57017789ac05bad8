// Standard base64 with padding (RFC 4648, section 4), decoded strictly: one text per value.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

std::string EncodeBase64(std::string_view bytes);
absl::StatusOr<std::string> DecodeBase64(std::string_view text);

}  // namespace muster
