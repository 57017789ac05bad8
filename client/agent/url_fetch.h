// Fetches a blob's bytes by a URL that the coordinator named: HTTP/1.1 with a byte range, over TLS
// or not. It follows no redirects, sends no credentials and no cookies, and takes no more bytes
// than it was told to expect. What comes is worth nothing until its digest was checked.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "client/agent/bounds.h"
#include "client/agent/transfer.h"
#include "client/agent/url.h"

namespace muster {

// One request from `offset` to the end. The sink's errors come back as they are. Unavailable: the
// transfer broke off or the server has trouble. FailedPrecondition: this URL will not work
// (refused, expired, no
// ranges, an untrusted certificate, http where others could read it). OutOfRange: `offset` is past
// the end.
absl::Status FetchUrl(const std::string& url, uint64_t offset, const UrlFetchOptions& options,
                      const BlobSource::Sink& sink, const Bounds& bounds);

}  // namespace muster
