#include "models/package/base64.h"

#include "absl/status/status.h"
#include "absl/strings/escaping.h"

namespace muster {

std::string EncodeBase64(std::string_view bytes) {
  return absl::Base64Escape(absl::string_view(bytes.data(), bytes.size()));
}

absl::StatusOr<std::string> DecodeBase64(std::string_view text) {
  std::string bytes;
  // The decoder forgives missing padding, white space and stray bits; encoding again does not.
  if (!absl::Base64Unescape(absl::string_view(text.data(), text.size()), &bytes) ||
      EncodeBase64(bytes) != text) {
    return absl::InvalidArgumentError("not standard base64 with padding");
  }
  return bytes;
}

}  // namespace muster
