#include "client/sandbox/worker_pool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/core/files.h"
#include "proto/core/log.h"
#include "proto/core/status.h"

extern char** environ;

namespace muster {
namespace {

using worker::v1::WorkerReply;
using worker::v1::WorkerRequest;
using SteadyClock = std::chrono::steady_clock;

constexpr int kWorkerFd = 3;

// What the worker inherits of the agent's environment. One thread per function: more were slower,
// and a thread pool in the fork server would hang its children.
std::vector<std::string> WorkerEnvironment() {
  static constexpr std::string_view kKept[] = {"PATH",         "HOME",         "LANG",
                                               "LC_ALL",       "TZ",           "LD_LIBRARY_PATH",
                                               "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"};
  std::vector<std::string> result{"OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1"};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string_view name = text.substr(0, text.find('='));
    if (std::find(std::begin(kKept), std::end(kKept), name) != std::end(kKept)) {
      result.emplace_back(text);
    }
  }
  return result;
}

struct SpawnedWorker {
  pid_t pid = 0;
  UniqueFd fd;
};

absl::StatusOr<SpawnedWorker> Spawn(const std::filesystem::path& binary) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return absl::InternalError(absl::StrCat("socketpair: ", std::strerror(errno)));
  }
  SpawnedWorker worker{.fd = UniqueFd(pair[0])};
  UniqueFd theirs(pair[1]);

  std::string fd_text = absl::StrCat(kWorkerFd), path = binary.string();
  std::string serve = "serve", fd_flag = "--fd";
  char* arguments[] = {path.data(), serve.data(), fd_flag.data(), fd_text.data(), nullptr};
  std::vector<std::string> variables = WorkerEnvironment();
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, theirs.get(), kWorkerFd);
  posix_spawn_file_actions_addclosefrom_np(&actions, kWorkerFd + 1);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  // The worker starts with the default dispositions and nothing blocked, whatever the agent set.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error =
      posix_spawn(&worker.pid, path.c_str(), &actions, &attributes, arguments, environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return absl::FailedPreconditionError(absl::StrCat("cannot start the worker ", path, ": ",
                                                      std::strerror(error),
                                                      "; check the agent's worker path"));
  }
  return worker;
}

std::string DescribeEnd(int status) {
  if (WIFSIGNALED(status)) return absl::StrCat("was killed by signal ", WTERMSIG(status));
  return absl::StrCat("ended with code ", WEXITSTATUS(status));
}

}  // namespace

// One reader thread per worker process dispatches replies, notices the end and the idle time. Order
// of locks: none is taken while another is held.
struct WorkerPool::Impl {
  enum class State { kDown, kUp, kStopping };
  struct Pending {
    std::optional<absl::StatusOr<WorkerReply>> result;
  };

  explicit Impl(WorkerPoolOptions o) : options(std::move(o)) {}

  const WorkerPoolOptions options;
  mutable std::mutex mutex;
  std::condition_variable changed;
  State state = State::kDown;    // all below: guarded by mutex
  std::shared_ptr<UniqueFd> fd;  // while kUp
  pid_t pid = 0;
  std::thread reader;
  std::map<std::string, Pending> pending;  // by invocation
  size_t outstanding = 0;                  // of `pending`, those without a result
  SteadyClock::time_point idle_since;      // while outstanding == 0
  std::mutex send_mutex;                   // one packet at a time; never held with `mutex`

  absl::Status EnsureUp(std::unique_lock<std::mutex>& lock) {
    changed.wait(lock, [this] { return state != State::kStopping; });
    if (state == State::kUp) return absl::OkStatus();
    if (reader.joinable()) reader.join();  // it ended with state = kDown and takes no lock after
    MUSTER_ASSIGN_OR_RETURN(SpawnedWorker worker, Spawn(options.worker_binary));
    pid = worker.pid;
    fd = std::make_shared<UniqueFd>(std::move(worker.fd));
    state = State::kUp;
    idle_since = SteadyClock::now();
    reader = std::thread([this, fd = fd, pid = pid] { Read(*fd, pid); });
    return absl::OkStatus();
  }

  // The reader thread.
  void Read(const UniqueFd& socket, pid_t worker) {
    std::string buffer(limits::kMaxWorkerMessageBytes + 1, '\0');
    while (true) {
      pollfd polled{socket.get(), POLLIN, 0};
      const int ready = poll(&polled, 1, IdleTimeoutMs());
      if (ready < 0 && errno == EINTR) continue;
      if (ready == 0) {
        if (StopBecauseIdle()) break;
        continue;
      }
      const ssize_t size = recv(socket.get(), buffer.data(), buffer.size(), 0);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) break;
      WorkerReply reply;
      if (!reply.ParseFromArray(buffer.data(), static_cast<int>(size))) break;
      Deliver(std::move(reply));
    }
    End(socket, worker);
  }

  int IdleTimeoutMs() {
    std::lock_guard lock(mutex);
    if (outstanding > 0) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        idle_since + options.idle_timeout - SteadyClock::now());
    return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
  }

  bool StopBecauseIdle() {
    std::lock_guard lock(mutex);
    if (outstanding > 0 || SteadyClock::now() < idle_since + options.idle_timeout) return false;
    state = State::kStopping;
    return true;
  }

  void Deliver(WorkerReply reply) {
    std::lock_guard lock(mutex);
    auto found = pending.find(reply.invocation());
    if (found != pending.end()) Finish(found->second, std::move(reply));
  }

  void Finish(Pending& waiting, absl::StatusOr<WorkerReply> result) {
    if (waiting.result) return;
    waiting.result = std::move(result);
    --outstanding;
    idle_since = SteadyClock::now();
    changed.notify_all();
  }

  // Nothing of the worker's outlives its socket: its children die with it, and an invocation
  // without a reply runs again under the same id.
  void End(const UniqueFd& socket, pid_t worker) {
    {
      std::lock_guard lock(mutex);
      state = State::kStopping;
      fd.reset();
    }
    shutdown(socket.get(), SHUT_RDWR);
    kill(worker, SIGKILL);  // a process that is already ending keeps its own exit status
    int status = 0;
    while (waitpid(worker, &status, 0) < 0 && errno == EINTR) {
    }
    std::lock_guard lock(mutex);
    for (auto& [invocation, waiting] : pending) {
      if (waiting.result) continue;
      Finish(waiting, absl::UnavailableError(absl::StrCat(
                          "the worker ", options.worker_binary.string(), " ", DescribeEnd(status),
                          " while it ran ", invocation, "; the next run starts it again")));
      LogWarning("worker ended", {{"invocation", invocation}, {"how", DescribeEnd(status)}});
    }
    pid = 0;
    state = State::kDown;
    changed.notify_all();
  }

  // False when the worker is gone; the reader notices that by itself.
  bool Send(const std::shared_ptr<UniqueFd>& to, const std::string& bytes) {
    std::lock_guard lock(send_mutex);
    ssize_t sent;
    do {
      sent = send(to->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == static_cast<ssize_t>(bytes.size());
  }

  void StopIfIdle(std::unique_lock<std::mutex>& lock) {
    if (outstanding > 0) return;
    if (state == State::kUp) {
      state = State::kStopping;  // so that no run starts on a socket that is closing
      shutdown(fd->get(), SHUT_RDWR);
    }
    changed.wait(lock, [this] { return state != State::kStopping; });
  }

  // One attempt. `sent` tells whether the worker may have seen the request.
  absl::StatusOr<WorkerReply> RunOnce(const std::string& invocation, const std::string& bytes,
                                      bool& sent) {
    std::unique_lock lock(mutex);
    MUSTER_RETURN_IF_ERROR(EnsureUp(lock));
    auto [entry, inserted] = pending.try_emplace(invocation);
    if (!inserted) {
      return absl::AlreadyExistsError(absl::StrCat(invocation, " is running already"));
    }
    ++outstanding;
    const std::shared_ptr<UniqueFd> to = fd;
    lock.unlock();
    sent = Send(to, bytes);  // if not, the worker died: the reader notices and answers
    lock.lock();
    changed.wait(lock, [&entry = entry] { return entry->second.result.has_value(); });
    absl::StatusOr<WorkerReply> result = *std::move(entry->second.result);
    pending.erase(entry);
    return result;
  }
};

WorkerPool::WorkerPool(WorkerPoolOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

WorkerPool::~WorkerPool() {
  {
    std::unique_lock lock(impl_->mutex);
    if (impl_->state == Impl::State::kUp) shutdown(impl_->fd->get(), SHUT_RDWR);
    impl_->changed.wait(lock, [this] { return impl_->state == Impl::State::kDown; });
  }
  if (impl_->reader.joinable()) impl_->reader.join();
}

absl::StatusOr<WorkerReply> WorkerPool::Run(const WorkerRequest& request) {
  if (request.invocation().empty() || request.function() == v1::FUNCTION_KIND_UNSPECIFIED) {
    return absl::InvalidArgumentError("a worker request names its invocation and its function");
  }
  const std::string bytes = request.SerializeAsString();
  if (bytes.size() > limits::kMaxWorkerMessageBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the worker request of ", bytes.size(),
                                                   " bytes is above the limit of ",
                                                   limits::kMaxWorkerMessageBytes));
  }
  bool sent = false;
  absl::StatusOr<WorkerReply> result = impl_->RunOnce(request.invocation(), bytes, sent);
  // The worker died while it was idle and nobody had noticed yet: nothing has run.
  if (!sent && absl::IsUnavailable(result.status())) {
    result = impl_->RunOnce(request.invocation(), bytes, sent);
  }
  return result;
}

void WorkerPool::Cancel(const std::string& invocation) {
  std::shared_ptr<UniqueFd> fd;
  {
    std::lock_guard lock(impl_->mutex);
    if (!impl_->pending.contains(invocation)) return;
    fd = impl_->fd;
  }
  WorkerRequest cancel;
  cancel.set_invocation(invocation);
  if (fd) impl_->Send(fd, cancel.SerializeAsString());
}

bool WorkerPool::running() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->state != Impl::State::kDown;
}

pid_t WorkerPool::pid() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->pid;
}

void WorkerPool::StopIfIdle() {
  std::unique_lock lock(impl_->mutex);
  impl_->StopIfIdle(lock);
}

}  // namespace muster
