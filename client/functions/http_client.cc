#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "client/functions/http.h"
#include "proto/core/strings.h"

namespace muster {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

struct HttpConnection::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& io, size_t body_bytes_max_in)
      : socket(io), body_bytes_max(body_bytes_max_in) {}

  void OnWritten(error_code error) {
    if (error) return Fail(error);
    parser.emplace();
    parser->body_limit(body_bytes_max);
    http::async_read(socket, buffer, *parser,
                     [self = shared_from_this()](error_code read_error, size_t) {
                       if (read_error) return self->Fail(read_error);
                       self->OnReply();
                     });
  }

  void OnReply() {
    auto message = parser->release();
    HttpReply reply;
    reply.status = static_cast<int>(message.result_int());
    reply.content_type = std::string(message[http::field::content_type]);
    for (const auto& field : message) {
      reply.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    reply.body = std::move(message.body());
    if (auto done = std::exchange(callback, nullptr)) done(std::move(reply));
  }

  void Fail(error_code error) {
    if (auto done = std::exchange(callback, nullptr)) {
      done(absl::UnavailableError(StrCat("the process closed its connection: ", error.message())));
    }
  }

  Socket socket;
  size_t body_bytes_max;
  boost::beast::flat_buffer buffer;
  std::optional<http::request<http::string_body>> request;
  std::optional<http::response_parser<http::string_body>> parser;
  Callback callback;
  uint64_t watch = 0;  // grows when a watch no longer counts
};

HttpConnection::HttpConnection(asio::io_context& io, UniqueFd connected, size_t body_bytes_max)
    : impl_(std::make_shared<Impl>(io, body_bytes_max)) {
  impl_->socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), connected.Release());
}

HttpConnection::~HttpConnection() {
  impl_->callback = nullptr;
  ++impl_->watch;
  error_code ignored;
  impl_->socket.close(ignored);
}

void HttpConnection::Call(HttpRequest request, Callback callback) {
  ++impl_->watch;
  error_code ignored;
  impl_->socket.cancel(ignored);
  impl_->callback = std::move(callback);
  impl_->request.emplace();
  impl_->request->version(11);
  impl_->request->method_string(request.method);
  impl_->request->target(request.target);
  impl_->request->set(http::field::host, "function");
  for (const auto& [name, value] : request.headers) impl_->request->set(name, value);
  impl_->request->body() = std::move(request.body);
  impl_->request->prepare_payload();
  http::async_write(impl_->socket, *impl_->request,
                    [impl = impl_](error_code error, size_t) { impl->OnWritten(error); });
}

void HttpConnection::Watch(std::function<void()> on_closed) {
  impl_->socket.async_wait(Socket::wait_read, [impl = impl_, number = ++impl_->watch,
                                               on_closed = std::move(on_closed)](error_code) {
    if (impl->watch == number) on_closed();
  });
}

void HttpConnection::ShutdownWrite() {
  error_code ignored;
  impl_->socket.shutdown(Socket::shutdown_send, ignored);
}

}  // namespace muster
