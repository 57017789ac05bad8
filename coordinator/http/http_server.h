// A small HTTP server for probes and metrics: one thread, GET only, connections closed after each
// answer. It carries nothing secret and may be bound to loopback.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  using Handler = std::function<HttpResponse(std::string_view path)>;

  // `listen` is HOST:PORT; port 0 picks a free one. FailedPrecondition if it is taken.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& listen,
                                                           Handler handler);
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
};

}  // namespace muster
