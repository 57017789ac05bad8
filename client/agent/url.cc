#include "client/agent/url.h"

#include <boost/asio/ip/address.hpp>

#include "absl/strings/numbers.h"
#include "client/agent/text.h"

namespace muster {

using text::Cat;

bool UrlParts::IsLoopback() const {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  return error ? host == "localhost" : address.is_loopback();
}

std::optional<UrlParts> SplitUrl(std::string_view url) {
  UrlParts parts;
  if (url.starts_with("https://")) {
    parts.tls = true;
    url.remove_prefix(8);
  } else if (url.starts_with("http://")) {
    url.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  const size_t slash = url.find('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  parts.authority = std::string(url.substr(0, slash));
  parts.target = std::string(url.substr(slash));
  if (parts.authority.find('@') != std::string::npos) return std::nullopt;
  const size_t bracket = parts.authority.rfind(']');
  const size_t colon = parts.authority.find(':', bracket == std::string::npos ? 0 : bracket);
  parts.host = parts.authority.substr(0, colon);
  parts.port =
      colon == std::string::npos ? (parts.tls ? "443" : "80") : parts.authority.substr(colon + 1);
  if (parts.host.starts_with('[') && parts.host.ends_with(']')) {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  }
  if (parts.host.empty() || parts.port.empty()) return std::nullopt;
  return parts;
}

std::string UrlOrigin(std::string_view url) {
  const std::optional<UrlParts> parts = SplitUrl(url);
  return parts ? Cat(parts->tls ? "https://" : "http://", parts->authority) : "";
}

std::optional<uint64_t> SizeInContentRange(std::string_view content_range, uint64_t offset) {
  const std::string begin = Cat("bytes ", offset, "-");
  const size_t slash = content_range.rfind('/');
  if (!content_range.starts_with(begin) || slash == std::string_view::npos) return std::nullopt;
  uint64_t size = 0;
  if (!absl::SimpleAtoi(Cat(content_range.substr(slash + 1)), &size)) return std::nullopt;
  return size;
}

}  // namespace muster
