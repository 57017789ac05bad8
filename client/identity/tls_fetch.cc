#include "client/identity/tls_fetch.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/core/files.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr unsigned char kAlpnHttp2[] = {2, 'h', '2'};

absl::Status TooSlow(const HostPort& server) {
  return absl::DeadlineExceededError(absl::StrCat(
      "coordinator ", server.ToString(),
      ": no TLS handshake in time; check the address, the firewall, and that it is the gRPC port"));
}

absl::Status Unreachable(const HostPort& server, std::string_view why) {
  return absl::UnavailableError(absl::StrCat("coordinator ", server.ToString(), ": ",
                                             std::string(why),
                                             "; check the address and that the coordinator runs"));
}

// True when `fd` is ready for `events` before the deadline.
bool Wait(int fd, short events, SteadyTime deadline) {
  while (true) {
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd wanted{fd, events, 0};
    int ready = poll(&wanted, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

absl::StatusOr<UniqueFd> ConnectTo(const HostPort& server, const addrinfo& address,
                                   SteadyTime deadline) {
  UniqueFd fd(socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Unreachable(server, std::strerror(errno));
  if (connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return fd;
  if (errno != EINPROGRESS) return Unreachable(server, std::strerror(errno));
  if (!Wait(fd.get(), POLLOUT, deadline)) return TooSlow(server);
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return Unreachable(server, std::strerror(error));
  return fd;
}

absl::StatusOr<UniqueFd> ConnectAny(const HostPort& server, SteadyTime deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  int error = getaddrinfo(server.host.c_str(), std::to_string(server.port).c_str(), &hints, &found);
  if (error != 0) return Unreachable(server, gai_strerror(error));
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  absl::Status last = Unreachable(server, "its name has no address");
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    absl::StatusOr<UniqueFd> fd = ConnectTo(server, *address, deadline);
    if (fd.ok()) return fd;
    last = fd.status();
  }
  return last;
}

absl::Status Handshake(const HostPort& server, SSL* ssl, int fd, SteadyTime deadline) {
  while (true) {
    int result = SSL_connect(ssl);
    if (result == 1) return absl::OkStatus();
    int reason = SSL_get_error(ssl, result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
      if (!Wait(fd, reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline)) {
        return TooSlow(server);
      }
      continue;
    }
    return OpenSslError(absl::StatusCode::kUnavailable,
                        absl::StrCat("coordinator ", server.ToString(),
                                     ": the TLS handshake failed; check that this is the "
                                     "coordinator's gRPC port"));
  }
}

std::vector<Certificate> PresentedChain(SSL* ssl) {
  std::vector<Certificate> chain;
  const STACK_OF(X509)* presented = SSL_get_peer_cert_chain(ssl);
  for (int i = 0; i < sk_X509_num(presented) && i < static_cast<int>(kMaxChainLength); ++i) {
    X509* certificate = sk_X509_value(presented, i);
    X509_up_ref(certificate);
    chain.push_back(Certificate::Wrap({certificate, X509_free}));
  }
  return chain;
}

}  // namespace

absl::StatusOr<std::vector<Certificate>> FetchServerChain(const HostPort& server,
                                                          std::chrono::milliseconds timeout) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + timeout;
  MUSTER_ASSIGN_OR_RETURN(UniqueFd fd, ConnectAny(server, deadline));
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                            SSL_CTX_free);
  if (context == nullptr) return OpenSslError(absl::StatusCode::kInternal, "preparing TLS");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // Trust is decided by the pin, over the chain that this returns.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  if (ssl == nullptr || SSL_set_fd(ssl.get(), fd.get()) != 1 ||
      SSL_set_alpn_protos(ssl.get(), kAlpnHttp2, sizeof(kAlpnHttp2)) != 0 ||
      SSL_set_tlsext_host_name(ssl.get(), kCoordinatorName) != 1) {
    return OpenSslError(absl::StatusCode::kInternal, "preparing TLS");
  }
  MUSTER_RETURN_IF_ERROR(Handshake(server, ssl.get(), fd.get(), deadline));
  std::vector<Certificate> chain = PresentedChain(ssl.get());
  if (chain.empty()) return Unreachable(server, "the server showed no certificate");
  return chain;
}

}  // namespace muster
