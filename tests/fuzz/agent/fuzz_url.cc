// URLs and Content-Range headers: whatever comes, it is taken apart or refused.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "client/agent/url.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto parts = muster::SplitUrl(text)) {
    // Host and target are parts of what came, and no user is in between.
    if (parts->host.empty() || parts->port.empty() || !parts->target.starts_with('/')) abort();
    if (parts->authority.find_first_of("@/") != std::string::npos) abort();
    if (muster::UrlOrigin(text) + parts->target != text) abort();
    parts->IsLoopback();
  }
  muster::SizeInContentRange(text, 19);
  return 0;
}
