#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <set>

#include "client/functions/http.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;

namespace {

constexpr uint32_t kMaxHeaderBytes = 8192;
constexpr int kHttpVersion = 11;

class Session;

absl::Status SocketStatus(const error_code& error, std::string_view what) {
  const std::string message = StrCat(what, ": ", error.message());
  if (error == asio::error::address_in_use) {
    return absl::AlreadyExistsError(StrCat(message, "; stop the other process or use port 0"));
  }
  return absl::UnavailableError(message);
}

}  // namespace

struct FunctionServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& io_in, FunctionServerOptions options_in, Handler handler_in)
      : io(io_in), options(std::move(options_in)), handler(std::move(handler_in)) {}

  void Accept(std::list<Acceptor>::iterator acceptor);
  void Add(Socket socket, bool timed, std::function<void()> on_end);

  asio::io_context& io;
  FunctionServerOptions options;
  Handler handler;
  std::list<Acceptor> acceptors;
  std::set<std::shared_ptr<Session>> sessions;
  bool stopping = false;
};

namespace {

// One connection: reads a request, has it handled, writes the reply, and again.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(std::weak_ptr<FunctionServer::Impl> server, const FunctionServerOptions& options,
          Socket socket, bool timed, std::function<void()> on_end)
      : server_(std::move(server)),
        options_(options),
        socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        timed_(timed),
        on_end_(std::move(on_end)) {}

  void Read() {
    parser_.emplace();
    parser_->header_limit(kMaxHeaderBytes);
    parser_->body_limit(options_.body_bytes_max);
    waiting_ = true;
    Arm();
    http::async_read_header(
        socket_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, size_t) { self->OnHeader(error); });
  }

  // Ends at once if nothing is in progress, else after the reply.
  void Finish() {
    finishing_ = true;
    if (waiting_) Close();
  }

  void Close() {
    error_code ignored;
    timer_.cancel();
    socket_.shutdown(Socket::shutdown_both, ignored);
    socket_.close(ignored);
    if (auto server = server_.lock()) server->sessions.erase(shared_from_this());
    if (auto on_end = std::exchange(on_end_, nullptr)) on_end();
  }

 private:
  void Arm() {
    if (!timed_) return;
    timer_.expires_after(options_.transfer_timeout);
    timer_.async_wait([weak = weak_from_this()](error_code error) {
      if (auto self = weak.lock(); self && !error) self->Close();
    });
  }

  void OnHeader(error_code error) {
    waiting_ = false;
    if (error) return OnReadError(error);
    const auto& header = parser_->get();
    if (boost::beast::iequals(header[http::field::expect], "100-continue")) {
      continue_.emplace(http::status::continue_, kHttpVersion);
      http::async_write(socket_, *continue_,
                        [self = shared_from_this()](error_code write_error, size_t) {
                          if (write_error) return self->Close();
                          self->ReadBody();
                        });
      return;
    }
    ReadBody();
  }

  void ReadBody() {
    http::async_read(socket_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, size_t) {
                       if (error) return self->OnReadError(error);
                       self->OnRequest();
                     });
  }

  void OnReadError(error_code error) {
    if (error.category() != http::make_error_code(http::error::end_of_stream).category() ||
        error == http::error::end_of_stream || error == http::error::partial_message) {
      return Close();
    }
    keep_alive_ = false;
    if (error == http::error::body_limit) {
      return Write(ErrorReply(
          413, StrCat("the request's body is larger than ", options_.body_bytes_max, " bytes")));
    }
    if (error == http::error::header_limit) {
      return Write(ErrorReply(
          431, StrCat("the request's header is larger than ", kMaxHeaderBytes, " bytes")));
    }
    Write(ErrorReply(400, StrCat("this is not HTTP/1.1: ", error.message())));
  }

  void OnRequest() {
    timer_.cancel();
    auto message = parser_->release();
    keep_alive_ = message.keep_alive();
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (const auto& field : message) {
      request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    request.body = std::move(message.body());
    auto server = server_.lock();
    if (!server) return Close();
    server->handler(std::move(request), [weak = weak_from_this()](HttpReply reply) {
      if (auto self = weak.lock()) self->Write(std::move(reply));
    });
  }

  void Write(HttpReply reply) {
    if (!socket_.is_open()) return;
    response_.emplace(static_cast<http::status>(reply.status), kHttpVersion);
    response_->set(http::field::server, options_.server_name);
    response_->set(http::field::content_type, reply.content_type);
    for (const auto& [name, value] : reply.headers) response_->set(name, value);
    response_->body() = std::move(reply.body);
    response_->keep_alive(keep_alive_ && !finishing_);
    response_->prepare_payload();
    Arm();
    http::async_write(socket_, *response_, [self = shared_from_this()](error_code error, size_t) {
      const bool keep = self->response_->keep_alive();
      self->response_.reset();
      if (error || !keep || self->finishing_) return self->Close();
      self->Read();
    });
  }

  std::weak_ptr<FunctionServer::Impl> server_;
  const FunctionServerOptions options_;
  Socket socket_;
  asio::steady_timer timer_;
  const bool timed_;
  std::function<void()> on_end_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::empty_body>> continue_;
  std::optional<http::response<http::string_body>> response_;
  bool waiting_ = false, finishing_ = false, keep_alive_ = true;
};

}  // namespace

void FunctionServer::Impl::Add(Socket socket, bool timed, std::function<void()> on_end) {
  auto session = std::make_shared<Session>(weak_from_this(), options, std::move(socket), timed,
                                           std::move(on_end));
  sessions.insert(session);
  session->Read();
}

void FunctionServer::Impl::Accept(std::list<Acceptor>::iterator acceptor) {
  acceptor->async_accept([self = shared_from_this(), acceptor](error_code error, Socket socket) {
    if (self->stopping || error == asio::error::operation_aborted) return;
    // Out of descriptors, for example: the connection is lost, the server goes on.
    if (!error && self->sessions.size() < self->options.connections_max) {
      self->Add(std::move(socket), true, nullptr);
    }
    self->Accept(acceptor);
  });
}

FunctionServer::FunctionServer(asio::io_context& io, FunctionServerOptions options, Handler handler)
    : impl_(std::make_shared<Impl>(io, std::move(options), std::move(handler))) {}

FunctionServer::~FunctionServer() {
  Stop();
  const auto sessions = impl_->sessions;
  for (const auto& session : sessions) session->Close();
}

absl::StatusOr<uint16_t> FunctionServer::ListenTcp(const std::string& address, uint16_t port) {
  error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) {
    return absl::InvalidArgumentError(
        StrCat("listen address '", address, "' is not a numeric IP address"));
  }
  const asio::ip::tcp::endpoint endpoint(ip, port);
  asio::ip::tcp::acceptor tcp(impl_->io);
  const std::string what = StrCat("listening on ", address, ":", port);
  tcp.open(endpoint.protocol(), error);
  if (!error) tcp.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) tcp.bind(endpoint, error);
  if (!error) tcp.listen(asio::socket_base::max_listen_connections, error);
  if (error) return SocketStatus(error, what);
  const uint16_t bound = tcp.local_endpoint().port();
  const asio::generic::stream_protocol protocol(endpoint.protocol());
  UniqueFd fd(tcp.release(error));
  if (error) return SocketStatus(error, what);
  MUSTER_RETURN_IF_ERROR(ListenFd(std::move(fd)));
  return bound;
}

absl::Status FunctionServer::ListenUnix(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) unlink(path.c_str());
  error_code error;
  asio::local::stream_protocol::acceptor acceptor(impl_->io);
  if (path.size() >= 108) {
    return absl::InvalidArgumentError(StrCat("socket path ", path, " is longer than 107 bytes"));
  }
  acceptor.open(asio::local::stream_protocol(), error);
  if (!error) acceptor.bind(asio::local::stream_protocol::endpoint(path), error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return SocketStatus(error, StrCat("listening on ", path));
  return ListenFd(UniqueFd(acceptor.release()));
}

absl::Status FunctionServer::ListenFd(UniqueFd socket) {
  error_code error;
  impl_->acceptors.emplace_back(impl_->io);
  // The family matters only to sockets that asio opens itself.
  impl_->acceptors.back().assign(asio::generic::stream_protocol(AF_INET, 0), socket.get(), error);
  if (error) {
    impl_->acceptors.pop_back();
    return SocketStatus(error, "listening on an inherited socket");
  }
  socket.Release();
  impl_->Accept(std::prev(impl_->acceptors.end()));
  return absl::OkStatus();
}

absl::Status FunctionServer::Serve(UniqueFd connected, std::function<void()> on_end) {
  error_code error;
  Socket socket(impl_->io);
  socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), connected.get(), error);
  if (error) return SocketStatus(error, "serving a connected socket");
  connected.Release();
  impl_->Add(std::move(socket), false, std::move(on_end));
  return absl::OkStatus();
}

void FunctionServer::Stop() {
  impl_->stopping = true;
  error_code ignored;
  for (Acceptor& acceptor : impl_->acceptors) acceptor.close(ignored);
  const auto sessions = impl_->sessions;
  for (const auto& session : sessions) session->Finish();
}

}  // namespace muster
