#include "coordinator/cli/interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace muster::cli {
namespace {

constexpr char kSignal = 's', kEnd = 'e';
std::atomic<int> signal_fd{-1};

void OnSignal(int) {
  const int saved = errno;
  if (write(signal_fd.load(), &kSignal, 1) != 1) _exit(1);
  errno = saved;
}

void Handle(void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) std::abort();
  read_ = UniqueFd(fds[0]);
  write_ = UniqueFd(fds[1]);
  signal_fd = write_.get();
  waiter_ = std::thread([this] {
    char what = 0;
    while (read(read_.get(), &what, 1) < 0 && errno == EINTR) {
    }
    if (what == kSignal) stop_.request_stop();
  });
  Handle(OnSignal, static_cast<int>(SA_RESETHAND | SA_RESTART));
}

InterruptGuard::~InterruptGuard() {
  Handle(SIG_DFL, 0);
  while (write(write_.get(), &kEnd, 1) < 0 && errno == EINTR) {
  }
  waiter_.join();
  signal_fd = -1;
}

}  // namespace muster::cli
