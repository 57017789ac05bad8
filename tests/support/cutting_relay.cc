#include "tests/support/cutting_relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace muster {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

bool SendAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<size_t>(sent);
  }
  return true;
}

}  // namespace

CuttingRelay::CuttingRelay(int target_port)
    : target_port_(target_port), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size);
  ::listen(listener_.get(), 64);
  ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

CuttingRelay::~CuttingRelay() {
  stopping_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  for (const int fd : open_) ::close(fd);
}

void CuttingRelay::Accept() {
  while (!stopping_) {
    const int client = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    threads_.emplace_back([this, client] { Relay(client); });
  }
}

void CuttingRelay::Relay(int client) {
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  {
    std::lock_guard lock(mutex_);
    open_.insert(open_.end(), {client, server});
  }
  const sockaddr_in address = Loopback(target_port_);
  if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ::shutdown(client, SHUT_RDWR);
    return;
  }
  std::thread up([client, server] {
    char buffer[65536];
    ssize_t got = 0;
    while ((got = ::recv(client, buffer, sizeof(buffer), 0)) > 0 &&
           SendAll(server, buffer, static_cast<size_t>(got))) {
    }
    ::shutdown(server, SHUT_WR);
  });
  char buffer[65536];
  ssize_t got = 0;
  int64_t sent = 0;
  while ((got = ::recv(server, buffer, sizeof(buffer), 0)) > 0) {
    const int64_t left = times_ > 0 ? after_bytes_ - sent : INT64_MAX;
    const auto size = static_cast<size_t>(std::clamp<int64_t>(left, 0, got));
    if (!SendAll(client, buffer, size)) break;
    sent += static_cast<int64_t>(size);
    if (size < static_cast<size_t>(got)) {
      --times_;
      ++cuts_;
      break;
    }
  }
  ::shutdown(client, SHUT_RDWR);
  ::shutdown(server, SHUT_RDWR);
  up.join();
}

}  // namespace muster
