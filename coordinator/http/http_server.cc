#include "coordinator/http/http_server.h"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "coordinator/listen/bind.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr size_t kMaxRequestBytes = 16 << 10;
constexpr std::chrono::seconds kRequestTimeout{5};
constexpr std::chrono::milliseconds kRestAfterError{100};

// Behind every connection.
struct Service {
  HttpServer::Handler handler;
  std::atomic<int> open{0};
  std::atomic<uint64_t> refused{0};
  asio::io_context io{1};
  // While nothing is accepted there is nothing to wait for; its thread stays all the same.
  asio::executor_work_guard<asio::io_context::executor_type> stays{io.get_executor()};
  asio::thread_pool posts{1};  // carries out what POST asks for
};

// One request and its answer.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Service& service) : stream_(std::move(socket)), service_(service) {
    ++service_.open;
    parser_.header_limit(kMaxRequestBytes);
    parser_.body_limit(kMaxRequestBytes);
  }
  ~Connection() { --service_.open; }

  void Begin() {
    stream_.expires_after(kRequestTimeout);
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](beast::error_code error, size_t) {
                       if (!error) self->Answer();
                     });
  }

 private:
  void Answer() {
    const http::verb method = parser_.get().method();
    if (method == http::verb::get || method == http::verb::head) {
      return Send(service_.handler({.post = false, .path = Path()}));
    }
    if (method != http::verb::post) {
      return Send({.status = 405,
                   .body = "GET and POST are served here\n",
                   .headers = {{"Allow", "GET, HEAD, POST"}}});
    }
    asio::post(service_.posts, [self = shared_from_this()] {
      HttpResponse answer = self->service_.handler({.post = true, .path = self->Path()});
      asio::post(self->service_.io,
                 [self, answer = std::move(answer)]() mutable { self->Send(std::move(answer)); });
    });
  }

  std::string_view Path() const {
    const auto target = parser_.get().target();
    const std::string_view path(target.data(), target.size());
    return path.substr(0, path.find('?'));
  }

  void Send(HttpResponse answer) {
    response_.result(static_cast<unsigned>(answer.status));
    response_.set(http::field::content_type, answer.content_type);
    for (const auto& [name, value] : answer.headers) response_.set(name, value);
    response_.keep_alive(false);
    if (parser_.get().method() == http::verb::head) {
      response_.content_length(answer.body.size());
    } else {
      response_.body() = std::move(answer.body);
      response_.prepare_payload();
    }
    stream_.expires_after(kRequestTimeout);
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code, size_t) {
      beast::error_code ignored;
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    });
  }

  beast::tcp_stream stream_;
  Service& service_;
  beast::flat_buffer buffer_;
  http::request_parser<http::string_body> parser_;
  http::response<http::string_body> response_;
};

class HttpServerImpl final : public HttpServer {
 public:
  explicit HttpServerImpl(Handler handler) { service_.handler = std::move(handler); }

  absl::Status Listen(Options options) {
    UniqueFd socket = std::move(options.inherited);
    if (!socket.valid()) {
      MUSTER_ASSIGN_OR_RETURN(std::vector<UniqueFd> bound, BindListeners(options.listen));
      socket = std::move(bound.front());
    }
    port_ = static_cast<uint16_t>(PortOf(socket.get()));
    beast::error_code error;
    // The family matters for opening alone.
    acceptor_.assign(tcp::v6(), socket.Release(), error);
    if (error) return absl::InternalError(StrCat("taking the HTTP socket: ", error.message()));
    Accept();
    thread_ = std::thread([this] { service_.io.run(); });
    return absl::OkStatus();
  }

  ~HttpServerImpl() override {
    service_.posts.join();
    service_.io.stop();
    if (thread_.joinable()) thread_.join();
  }

  uint16_t port() const override { return port_; }
  size_t open() const override { return static_cast<size_t>(service_.open.load()); }
  uint64_t refused() const override { return service_.refused; }

  void Pause() override {
    std::promise<void> paused;
    asio::post(service_.io, [&] {
      accepting_ = false;
      beast::error_code ignored;
      acceptor_.cancel(ignored);
      paused.set_value();
    });
    paused.get_future().wait();
  }
  void Resume() override {
    asio::post(service_.io, [this] {
      accepting_ = true;
      Accept();
    });
  }

 private:
  void Accept() {
    if (!accepting_) return;
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (!error && service_.open < kMaxHttpConnections) {
        std::make_shared<Connection>(std::move(socket), service_)->Begin();
      } else if (!error) {
        ++service_.refused;
      }
      if (!accepting_) return;
      if (!error) return Accept();
      // No descriptors left, say: knock again a little later.
      rest_.expires_after(kRestAfterError);
      rest_.async_wait([this](beast::error_code) { Accept(); });
    });
  }

  Service service_;
  tcp::acceptor acceptor_{service_.io};
  asio::steady_timer rest_{service_.io};
  bool accepting_ = true;  // the service's thread alone looks
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Options options, Handler handler) {
  auto server = std::make_unique<HttpServerImpl>(std::move(handler));
  if (absl::Status status = server->Listen(std::move(options)); !status.ok()) return status;
  return server;
}

}  // namespace muster
