#include "coordinator/listen/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "coordinator/listen/bind.h"
#include "proto/core/log.h"

namespace muster {
namespace {

constexpr int kAcceptsAtOnce = 64;  // from one socket before another has its turn
constexpr std::chrono::milliseconds kRestWithoutDescriptors{100};
// Counting asks the kernel once for each connection: not more often than this.
constexpr std::chrono::milliseconds kCountAgain{250};

void Reset(int connection) {
  const linger at_once{1, 0};
  setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

std::vector<int> PortsOf(const std::vector<UniqueFd>& listeners) {
  std::vector<int> ports;
  for (const UniqueFd& listener : listeners) ports.push_back(PortOf(listener.get()));
  return ports;
}

// Still somebody's connection to one of `ports`; the descriptor may be another file's by now.
bool Connected(int fd, const std::vector<int>& ports) {
  sockaddr_storage peer{};
  socklen_t size = sizeof(peer);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return false;
  return std::find(ports.begin(), ports.end(), PortOf(fd)) != ports.end();
}

}  // namespace

Acceptor::Acceptor(std::vector<UniqueFd> listeners, size_t max_connections, Take take)
    : max_connections_(max_connections),
      take_(std::move(take)),
      ports_(PortsOf(listeners)),
      nudge_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      listeners_(std::move(listeners)),
      thread_([this] { Run(); }) {}

Acceptor::~Acceptor() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  Nudge();
  thread_.join();
}

void Acceptor::Pause() {
  std::unique_lock lock(mutex_);
  paused_ = true;
  Nudge();
  changed_.wait(lock, [this] { return resting_; });
}

void Acceptor::Resume() {
  std::lock_guard lock(mutex_);
  paused_ = false;
  Nudge();
}

void Acceptor::Close() {
  Pause();
  std::lock_guard lock(mutex_);
  listeners_.clear();
}

void Acceptor::Nudge() { eventfd_write(nudge_.get(), 1); }

void Acceptor::Run() {
  while (Wait()) {
  }
}

bool Acceptor::Wait() {
  std::vector<pollfd> watched = {{nudge_.get(), POLLIN, 0}};
  int timeout_ms = -1;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    resting_ = paused_;
    changed_.notify_all();
    if (exhausted_) timeout_ms = static_cast<int>(kRestWithoutDescriptors.count());
    if (!paused_ && !std::exchange(exhausted_, false)) {
      for (const UniqueFd& listener : listeners_) watched.push_back({listener.get(), POLLIN, 0});
    }
  }
  if (poll(watched.data(), watched.size(), timeout_ms) <= 0) return true;
  eventfd_t ignored;
  eventfd_read(nudge_.get(), &ignored);
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || paused_) return true;
  }
  for (size_t i = 1; i < watched.size(); ++i) {
    if (watched[i].revents != 0) AcceptFrom(watched[i].fd);
  }
  return true;
}

void Acceptor::AcceptFrom(int listener) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    UniqueFd connection(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!connection.valid()) {
      const int error = errno;
      if (error == EINTR || error == ECONNABORTED) continue;
      if (error == EAGAIN || error == EWOULDBLOCK) return;
      LogWarning("accepting a connection failed", {{"error", std::strerror(error)}});
      std::lock_guard lock(mutex_);
      exhausted_ = true;
      return;
    }
    if (!Admit(connection.get())) {
      Reset(connection.get());
      continue;
    }
    const int on = 1;
    setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    take_(listener, std::move(connection));
  }
}

bool Acceptor::Admit(int connection) {
  std::lock_guard lock(mutex_);
  const auto fd = static_cast<size_t>(connection);
  if (fd >= handed_out_.size()) handed_out_.resize(fd + 1);
  // The number is free again, so the connection that had it is gone.
  if (handed_out_[fd]) --open_;
  handed_out_[fd] = false;
  if (open_ >= max_connections_) Recount();
  if (open_ >= max_connections_) {
    ++refused_;
    return false;
  }
  handed_out_[fd] = true;
  ++open_;
  ++accepted_;
  last_accepted_ = std::chrono::steady_clock::now();
  return true;
}

void Acceptor::Recount() {
  const auto now = std::chrono::steady_clock::now();
  if (now - counted_ < kCountAgain) return;
  counted_ = now;
  open_ = 0;
  for (size_t fd = 0; fd < handed_out_.size(); ++fd) {
    if (!handed_out_[fd]) continue;
    handed_out_[fd] = Connected(static_cast<int>(fd), ports_);
    open_ += handed_out_[fd];
  }
}

size_t Acceptor::open() {
  std::lock_guard lock(mutex_);
  Recount();
  return open_;
}

uint64_t Acceptor::accepted() {
  std::lock_guard lock(mutex_);
  return accepted_;
}

std::chrono::steady_clock::time_point Acceptor::last_accepted() {
  std::lock_guard lock(mutex_);
  return last_accepted_;
}

uint64_t Acceptor::refused() {
  std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace muster
