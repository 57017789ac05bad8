// The URLs that a coordinator names for downloads, and what an HTTP server says of the range that
// it sends: both are read here, from bytes that came from outside.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace muster {

struct UrlParts {
  bool tls = false;
  std::string host, port, target;
  std::string authority;  // as in the Host header, which a presigned URL's signature covers

  // Whether `host` is this machine itself, as far as its name or address alone tell.
  bool IsLoopback() const;
};

// Of http://HOST[:PORT]/... and https://; nothing for whatever else, and for URLs with a user in
// them.
std::optional<UrlParts> SplitUrl(std::string_view url);

// Scheme and host of a URL, without the signature in its query, for logs. Empty if it is none.
std::string UrlOrigin(std::string_view url);

// The size of the whole in "bytes OFFSET-LAST/SIZE", if the range begins at `offset`.
std::optional<uint64_t> SizeInContentRange(std::string_view content_range, uint64_t offset);

struct UrlFetchOptions {
  std::filesystem::path ca_file;  // PEM, for https; empty: the system's
  bool plain_http = false;        // http from other machines too
};

}  // namespace muster
