// A small HTTP server for probes, metrics and ticks. Connections are closed after each answer. It
// carries nothing secret and may be bound to loopback.
//
// GET is answered on the one thread that serves connections, POST on another: work behind a POST
// never holds up a probe. Bodies are read, bounded and dropped: nothing here depends on them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/core/files.h"

namespace muster {

struct HttpRequest {
  bool post = false;      // else GET or HEAD
  std::string_view path;  // without the query
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // more of them
};

class HttpServer {
 public:
  // Called from two threads: GET on one, POST on the other, one at a time each.
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  struct Options {
    std::string listen;  // IP:PORT; port 0 picks a free one
    UniqueFd inherited;  // a listening socket; if there is one, `listen` is not used
  };
  // FailedPrecondition if the port is taken.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Options options, Handler handler);
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
  virtual size_t open() const = 0;       // connections
  virtual uint64_t refused() const = 0;  // connections above the limit
  // Leaves callers in the socket's queue; returns once no more are taken.
  virtual void Pause() = 0;
  virtual void Resume() = 0;
};

inline constexpr int kMaxHttpConnections = 64;

}  // namespace muster
