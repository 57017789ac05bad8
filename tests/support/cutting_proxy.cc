#include "tests/support/cutting_proxy.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace muster {
namespace {

using namespace std::string_view_literals;

constexpr int kLookAgainMs = 50;  // whether to stop

sockaddr_un AddressOf(const std::filesystem::path& path) {
  sockaddr_un address{.sun_family = AF_UNIX};
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  return address;
}

bool WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::send(fd, data, size, MSG_NOSIGNAL);
    if (n <= 0) return false;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

CuttingProxy::CuttingProxy(const std::filesystem::path& folder, std::filesystem::path server)
    : server_(std::move(server)) {
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = AddressOf(folder / ".s.PGSQL.5432");
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener_, 64) != 0) {
    std::abort();
  }
  acceptor_ = std::thread([this] { Accept(); });
}

CuttingProxy::~CuttingProxy() {
  stopping_ = true;
  acceptor_.join();
  for (std::thread& passer : passers_) passer.join();
  ::close(listener_);
}

void CuttingProxy::Accept() {
  while (!stopping_) {
    pollfd wait{.fd = listener_, .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, kLookAgainMs) <= 0) continue;
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    if (closed_) {
      ::close(client);
      continue;
    }
    passers_.emplace_back([this, client] { Pass(client); });
  }
}

void CuttingProxy::Pass(int client) {
  const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = AddressOf(server_);
  bool open = ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  bool commit_sent = false;  // and its answer is to be swallowed
  while (open && !stopping_) {
    pollfd wait[2] = {{.fd = client, .events = POLLIN, .revents = 0},
                      {.fd = server, .events = POLLIN, .revents = 0}};
    if (::poll(wait, 2, kLookAgainMs) <= 0) continue;
    if (wait[0].revents != 0) open = Forward(client, server, true, &commit_sent);
    if (open && wait[1].revents != 0) open = Forward(server, client, false, &commit_sent);
  }
  ::close(client);
  ::close(server);
}

bool CuttingProxy::Forward(int from, int to, bool from_client, bool* commit_sent) {
  char buffer[64 << 10];
  const ssize_t n = ::recv(from, buffer, sizeof(buffer), 0);
  if (n <= 0) return false;
  const std::string_view data(buffer, static_cast<size_t>(n));
  if (!from_client && *commit_sent) return false;
  // A simple query is 'Q', its length, and the text with a NUL.
  if (from_client && data.front() == 'Q' && data.ends_with("COMMIT\0"sv)) {
    const Cut cut = cut_.exchange(Cut::kNever);
    if (cut != Cut::kNever) ++cuts_;
    if (cut == Cut::kBeforeCommit) {
      then_();
      return false;
    }
    *commit_sent = cut == Cut::kAfterCommit;
  }
  return WriteAll(to, buffer, data.size());
}

}  // namespace muster
