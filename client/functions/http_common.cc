#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "client/functions/http.h"
#include "proto/core/strings.h"

namespace muster {

std::optional<std::string_view> FindHeader(const HttpHeaders& headers, std::string_view name) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  for (const auto& [key, value] : headers) {
    if (std::equal(key.begin(), key.end(), name.begin(), name.end(), same)) return value;
  }
  return std::nullopt;
}

HttpReply ErrorReply(int status, std::string_view message) {
  HttpReply reply;
  reply.status = status;
  // What a client sent may be quoted in the message and need not be UTF-8.
  reply.body = nlohmann::json({{"error", message}})
                   .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return reply;
}

HttpReply ErrorReply(const absl::Status& status) {
  const auto code = [&] {
    switch (status.code()) {
      case absl::StatusCode::kInvalidArgument:
        return 400;
      case absl::StatusCode::kNotFound:
        return 404;
      case absl::StatusCode::kOutOfRange:
        return 413;
      case absl::StatusCode::kResourceExhausted:
        return 429;
      case absl::StatusCode::kUnavailable:
        return 503;
      case absl::StatusCode::kDeadlineExceeded:
        return 504;
      default:
        return 500;
    }
  }();
  return ErrorReply(code, StdView(status.message()));
}

}  // namespace muster
