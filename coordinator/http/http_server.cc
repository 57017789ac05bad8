#include "coordinator/http/http_server.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <thread>
#include <utility>

#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/transport/host_port.h"

namespace muster {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr size_t kMaxRequestBytes = 16 << 10;
constexpr std::chrono::seconds kRequestTimeout{5};
constexpr int kMaxOpenConnections = 64;

// One request and its answer.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const HttpServer::Handler& handler, std::atomic<int>& open)
      : stream_(std::move(socket)), handler_(handler), open_(open) {
    ++open_;
    parser_.header_limit(kMaxRequestBytes);
    parser_.body_limit(kMaxRequestBytes);
  }
  ~Connection() { --open_; }

  void Begin() {
    stream_.expires_after(kRequestTimeout);
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](beast::error_code error, size_t) {
                       if (!error) self->Answer();
                     });
  }

 private:
  void Answer() {
    const auto& request = parser_.get();
    HttpResponse answer;
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      answer = {.status = 405, .body = "only GET is served here\n"};
    } else {
      const auto target = request.target();
      std::string_view path(target.data(), target.size());
      answer = handler_(path.substr(0, path.find('?')));
    }
    response_.result(static_cast<unsigned>(answer.status));
    response_.set(http::field::content_type, answer.content_type);
    response_.keep_alive(false);
    response_.body() = std::move(answer.body);
    response_.prepare_payload();
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code, size_t) {
      beast::error_code ignored;
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    });
  }

  beast::tcp_stream stream_;
  const HttpServer::Handler& handler_;
  std::atomic<int>& open_;
  beast::flat_buffer buffer_;
  http::request_parser<http::string_body> parser_;
  http::response<http::string_body> response_;
};

class HttpServerImpl final : public HttpServer {
 public:
  explicit HttpServerImpl(Handler handler) : handler_(std::move(handler)), acceptor_(io_) {}

  absl::Status Listen(const std::string& listen) {
    MUSTER_ASSIGN_OR_RETURN(const HostPort address, HostPort::ParseListen(listen));
    beast::error_code error;
    const auto ip = asio::ip::make_address(address.host, error);
    if (error) {
      return absl::InvalidArgumentError(
          StrCat("cannot listen on ", listen, ": give an IP address and a port"));
    }
    const tcp::endpoint endpoint(ip, address.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return absl::FailedPreconditionError(StrCat(
          "cannot listen on ", listen, ": ", error.message(), "; choose another HTTP address"));
    }
    port_ = acceptor_.local_endpoint().port();
    Accept();
    thread_ = std::thread([this] { io_.run(); });
    return absl::OkStatus();
  }

  ~HttpServerImpl() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  uint16_t port() const override { return port_; }

 private:
  void Accept() {
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (!error && open_ < kMaxOpenConnections) {
        std::make_shared<Connection>(std::move(socket), handler_, open_)->Begin();
      }
      Accept();
    });
  }

  const Handler handler_;
  std::atomic<int> open_{0};
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& listen,
                                                              Handler handler) {
  auto server = std::make_unique<HttpServerImpl>(std::move(handler));
  if (absl::Status status = server->Listen(listen); !status.ok()) return status;
  return server;
}

}  // namespace muster
