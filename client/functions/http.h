// A small HTTP/1.1 server and client over any stream socket, TCP or Unix, in one thread. Plain
// values at the surface; Boost.Beast stays in the .cc files.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/files.h"

namespace boost::asio {
class io_context;
}

namespace muster {

inline constexpr char kJsonType[] = "application/json";
inline constexpr char kBinaryType[] = "application/octet-stream";

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;
// Compares names without case. Empty if absent.
std::optional<std::string_view> FindHeader(const HttpHeaders& headers, std::string_view name);

struct HttpRequest {
  std::string method, target;
  HttpHeaders headers;  // without those of the transfer itself
  std::string body;
};

struct HttpReply {
  int status = 200;
  std::string content_type = kJsonType;
  HttpHeaders headers;
  std::string body;
};

// {"error": "..."}.
HttpReply ErrorReply(int status, std::string_view message);
// 400, 404, 413, 429, 503, 504 or 500, after the status' code.
HttpReply ErrorReply(const absl::Status& status);

struct FunctionServerOptions {
  std::string server_name = "muster";
  size_t body_bytes_max = 16u << 20;
  size_t connections_max = 256;  // further ones are closed at once
  // For a request to arrive or a reply to leave; an idle connection is closed after it too.
  std::chrono::milliseconds transfer_timeout = std::chrono::seconds(60);
};

// Calls to a server come from the io_context's thread only.
class FunctionServer {
 public:
  // May be called once, from the same thread, at any time until the server is gone.
  using Responder = std::function<void(HttpReply)>;
  using Handler = std::function<void(HttpRequest, Responder)>;

  FunctionServer(boost::asio::io_context& io, FunctionServerOptions options, Handler handler);
  ~FunctionServer();

  // `address` is a numeric IP; port 0 picks one. Returns the port.
  absl::StatusOr<uint16_t> ListenTcp(const std::string& address, uint16_t port);
  absl::Status ListenUnix(const std::string& path);  // replaces a stale socket of that name
  absl::Status ListenFd(UniqueFd socket);            // bound and listening already
  // Serves one connected socket, without the transfer timeout; `on_end` when it has closed.
  absl::Status Serve(UniqueFd connected, std::function<void()> on_end);

  // Accepts nothing more, closes what is idle; a request in progress is still answered.
  void Stop();

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

// One connected socket on which one call at a time is made.
class HttpConnection {
 public:
  using Callback = std::function<void(absl::StatusOr<HttpReply>)>;

  HttpConnection(boost::asio::io_context& io, UniqueFd connected, size_t body_bytes_max);
  ~HttpConnection();  // callbacks that have not run never will

  // Unavailable if the peer is gone.
  void Call(HttpRequest request, Callback callback);
  // While no call is in progress: `on_closed` once when the peer closes or says something unasked.
  void Watch(std::function<void()> on_closed);
  // The peer reads an end of file.
  void ShutdownWrite();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace muster
