#include "client/agent/url_fetch.h"

#include <openssl/ssl.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <memory>
#include <optional>

#include "client/agent/text.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using text::Cat;

constexpr std::chrono::seconds kStallTimeout{30};
constexpr std::chrono::milliseconds kStopCheck{100};
constexpr size_t kBufferBytes = 256u << 10;

// Runs one asynchronous operation to its end, or until the work is told to stop.
class Runner {
 public:
  Runner(asio::io_context& io, const Bounds& bounds) : io_(io), bounds_(bounds) {}

  absl::Status Check() const { return bounds_.Check(); }
  // `start(handler)` begins it; `cancel()` ends it early. The result is the operation's.
  template <typename Start, typename Cancel>
  absl::StatusOr<error_code> Run(Start start, Cancel cancel) {
    bool done = false;
    error_code result;
    start([&done, &result](error_code error, auto&&...) {
      result = error;
      done = true;
    });
    absl::Status stopped;
    io_.restart();
    while (!done) {
      io_.run_one_for(kStopCheck);
      if (io_.stopped()) io_.restart();
      if (stopped.ok() && !done) {
        stopped = bounds_.Check();
        if (!stopped.ok()) cancel();
      }
    }
    if (!stopped.ok()) return stopped;
    return result;
  }

 private:
  asio::io_context& io_;
  const Bounds& bounds_;
};

absl::Status Broken(const UrlParts& parts, std::string_view what, error_code error) {
  return absl::UnavailableError(Cat(what, " ", parts.authority, ": ", error.message()));
}

absl::Status HttpStatus(const UrlParts& parts, unsigned status) {
  const std::string text = Cat(parts.authority, " answered ", status);
  if (status == 416) return absl::OutOfRangeError(text);
  const bool passing = status == 408 || status == 429 || status >= 500;
  if (passing) return absl::UnavailableError(text);
  return absl::FailedPreconditionError(text);
}

// The blob's size, from the headers of the answer to "from `offset` on".
absl::StatusOr<uint64_t> TotalSize(const UrlParts& parts, const http::response_header<>& header,
                                   std::optional<uint64_t> length, uint64_t offset) {
  if (header.result() == http::status::ok && offset == 0 && length.has_value()) return *length;
  if (header.result() == http::status::partial_content) {
    const auto range = header[http::field::content_range];
    if (const auto size = SizeInContentRange({range.data(), range.size()}, offset)) return *size;
  }
  return absl::FailedPreconditionError(
      Cat(parts.authority, " did not answer with the range that was asked for"));
}

template <typename Stream>
absl::Status Exchange(Stream& stream, Runner& runner, const UrlParts& parts, uint64_t offset,
                      const BlobSource::Sink& sink) {
  auto& tcp = beast::get_lowest_layer(stream);
  const auto cancel = [&tcp] { tcp.close(); };
  http::request<http::empty_body> request(http::verb::get, parts.target, 11);
  request.set(http::field::host, parts.authority);
  request.set(http::field::user_agent, "muster-client");
  request.set(http::field::range, Cat("bytes=", offset, "-"));
  tcp.expires_after(kStallTimeout);
  MUSTER_ASSIGN_OR_RETURN(
      error_code error,
      runner.Run([&](auto done) { http::async_write(stream, request, done); }, cancel));
  if (error) return Broken(parts, "sending to", error);

  beast::flat_buffer buffer(kBufferBytes);
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(limits::kMaxBlobBytes);
  MUSTER_ASSIGN_OR_RETURN(
      error, runner.Run([&](auto done) { http::async_read_header(stream, buffer, parser, done); },
                        cancel));
  if (error) return Broken(parts, "reading from", error);
  const http::response_header<>& header = parser.get();
  if (header.result_int() / 100 != 2) return HttpStatus(parts, header.result_int());
  const auto length = parser.content_length();
  MUSTER_ASSIGN_OR_RETURN(
      const uint64_t total,
      TotalSize(parts, header, length ? std::optional<uint64_t>(*length) : std::nullopt, offset));

  std::string chunk(kBufferBytes, '\0');
  while (!parser.is_done()) {
    MUSTER_RETURN_IF_ERROR(runner.Check());
    parser.get().body().data = chunk.data();
    parser.get().body().size = chunk.size();
    tcp.expires_after(kStallTimeout);
    MUSTER_ASSIGN_OR_RETURN(
        error, runner.Run([&](auto done) { http::async_read_some(stream, buffer, parser, done); },
                          cancel));
    if (error && error != http::error::need_buffer) return Broken(parts, "reading from", error);
    const size_t got = chunk.size() - parser.get().body().size;
    if (got > 0) MUSTER_RETURN_IF_ERROR(sink(total, std::string_view(chunk).substr(0, got)));
  }
  return absl::OkStatus();
}

absl::Status Connect(beast::tcp_stream& tcp, asio::io_context& io, Runner& runner,
                     const UrlParts& parts) {
  asio::ip::tcp::resolver resolver(io);
  asio::ip::tcp::resolver::results_type found;
  MUSTER_ASSIGN_OR_RETURN(error_code error,
                          runner.Run(
                              [&](auto done) {
                                resolver.async_resolve(
                                    parts.host, parts.port,
                                    [&found, done](error_code failed, auto results) mutable {
                                      found = std::move(results);
                                      done(failed);
                                    });
                              },
                              [&resolver] { resolver.cancel(); }));
  if (error) return Broken(parts, "looking up", error);
  tcp.expires_after(kStallTimeout);
  MUSTER_ASSIGN_OR_RETURN(error, runner.Run([&](auto done) { tcp.async_connect(found, done); },
                                            [&tcp] { tcp.close(); }));
  if (error) return Broken(parts, "connecting to", error);
  return absl::OkStatus();
}

absl::StatusOr<asio::ssl::context> TlsContext(const UrlFetchOptions& options) {
  asio::ssl::context tls(asio::ssl::context::tls_client);
  error_code error;
  SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION);
  tls.set_verify_mode(asio::ssl::verify_peer, error);
  if (options.ca_file.empty()) {
    tls.set_default_verify_paths(error);
  } else {
    tls.load_verify_file(options.ca_file.string(), error);
  }
  if (error) {
    return absl::FailedPreconditionError(Cat("reading the CAs for downloads ",
                                             options.ca_file.string(), ": ", error.message(),
                                             "; correct downloads.ca_file in client.yaml"));
  }
  return tls;
}

absl::Status FetchOverTls(asio::io_context& io, Runner& runner, const UrlParts& parts,
                          uint64_t offset, const UrlFetchOptions& options,
                          const BlobSource::Sink& sink) {
  MUSTER_ASSIGN_OR_RETURN(asio::ssl::context context, TlsContext(options));
  beast::ssl_stream<beast::tcp_stream> stream(io, context);
  stream.set_verify_callback(asio::ssl::host_name_verification(parts.host));
  error_code no_address;
  asio::ip::make_address(parts.host, no_address);
  // TLS names names only (RFC 6066).
  if (no_address) SSL_set_tlsext_host_name(stream.native_handle(), parts.host.c_str());
  beast::tcp_stream& tcp = beast::get_lowest_layer(stream);
  MUSTER_RETURN_IF_ERROR(Connect(tcp, io, runner, parts));
  tcp.expires_after(kStallTimeout);
  MUSTER_ASSIGN_OR_RETURN(
      const error_code error,
      runner.Run([&](auto done) { stream.async_handshake(asio::ssl::stream_base::client, done); },
                 [&tcp] { tcp.close(); }));
  if (error && error.category() == asio::error::get_ssl_category()) {
    return absl::FailedPreconditionError(
        Cat("no trusted TLS with ", parts.authority, ": ", error.message(),
            "; for a CA of one's own, set downloads.ca_file in client.yaml"));
  }
  if (error) return Broken(parts, "TLS with", error);
  return Exchange(stream, runner, parts, offset, sink);
}

}  // namespace

absl::Status FetchUrl(const std::string& url, uint64_t offset, const UrlFetchOptions& options,
                      const BlobSource::Sink& sink, const Bounds& bounds) {
  const std::optional<UrlParts> parts = SplitUrl(url);
  if (!parts) return absl::FailedPreconditionError("what was named for a download is no URL");
  if (!parts->tls && !options.plain_http && !parts->IsLoopback()) {
    return absl::FailedPreconditionError(
        Cat("http://", parts->authority,
            " would show the blob to everybody on the way: give the store a certificate, or set "
            "downloads.plain_http in client.yaml"));
  }
  asio::io_context io;
  Runner runner(io, bounds);
  if (parts->tls) return FetchOverTls(io, runner, *parts, offset, options, sink);
  beast::tcp_stream stream(io);
  MUSTER_RETURN_IF_ERROR(Connect(stream, io, runner, *parts));
  return Exchange(stream, runner, *parts, offset, sink);
}

}  // namespace muster
