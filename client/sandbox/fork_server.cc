#include "client/sandbox/fork_server.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <list>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/sandbox/jail.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"

namespace muster {
namespace {

using worker::v1::WorkerReply;
using worker::v1::WorkerRequest;
using SteadyClock = std::chrono::steady_clock;

struct Child {
  pid_t pid = 0;
  UniqueFd fd;  // the child's reply, then end of file when it has ended
  std::string invocation;
  SteadyClock::time_point started, deadline;
  uint64_t deadline_ms = 0, memory_bytes = 0;
  std::filesystem::path temp_dir;
  std::optional<WorkerReply> reply;
  bool past_deadline = false, cancelled = false, cold_start = false;
};

uint64_t Microseconds(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
}

std::string Serialize(WorkerReply reply) {
  if (reply.reason().size() > limits::kMaxTextLength) {
    reply.mutable_reason()->resize(limits::kMaxTextLength);
  }
  if (reply.ByteSizeLong() > limits::kMaxWorkerMessageBytes) {
    reply.set_outcome(worker::v1::WORKER_OUTCOME_FAILED);
    reply.set_reason(absl::StrCat("the function's reply is larger than ",
                                  limits::kMaxWorkerMessageBytes, " bytes"));
    reply.clear_metrics();
    reply.clear_files();
  }
  return reply.SerializeAsString();
}

bool SendAll(int fd, const std::string& bytes) {
  ssize_t sent;
  do {
    sent = write(fd, bytes.data(), bytes.size());
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(bytes.size());
}

WorkerReply Failure(std::string reason) {
  WorkerReply reply;
  reply.set_outcome(worker::v1::WORKER_OUTCOME_FAILED);
  reply.set_reason(std::move(reason));
  return reply;
}

// The rest of the child's life. It leaves by _exit: destructors and exit handlers of the parent's
// libraries are not the child's to run.
[[noreturn]] void LiveAsChild(pid_t parent, int fd, const WorkerRequest& request,
                              const JailOptions& jail, const RunInChild& run) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // the parent died before prctl
  signal(SIGPIPE, SIG_IGN);
  WorkerReply reply;
  if (absl::Status status = EnterJail(jail); !status.ok()) {
    SendAll(fd, Serialize(Failure(std::string(status.message()))));
    _exit(1);
  }
  try {
    absl::StatusOr<WorkerReply> result = run(request);
    reply = result.ok() ? *std::move(result) : Failure(std::string(result.status().message()));
    if (reply.outcome() == worker::v1::WORKER_OUTCOME_UNSPECIFIED) {
      reply.set_outcome(worker::v1::WORKER_OUTCOME_DONE);
    }
    if (!SendAll(fd, Serialize(std::move(reply)))) _exit(1);
  } catch (const std::bad_alloc&) {
    _exit(kExitOutOfMemory);
  } catch (const std::exception& error) {
    SendAll(fd, Serialize(Failure(absl::StrCat("the function threw: ", error.what()))));
  }
  _exit(0);
}

class ForkServer {
 public:
  ForkServer(int fd, const RunInChild& run) : socket_(fd), run_(run) {}

  int Serve() {
    signal(SIGPIPE, SIG_IGN);
    while (true) {
      std::vector<pollfd> polled{{socket_.get(), POLLIN, 0}};
      for (const Child& child : children_) polled.push_back({child.fd.get(), POLLIN, 0});
      if (poll(polled.data(), polled.size(), NextTimeoutMs()) < 0) {
        if (errno == EINTR) continue;
        return Close(1);
      }
      KillOverdue();
      auto child = children_.begin();
      for (size_t i = 1; i < polled.size(); ++i) {
        auto current = child++;
        if (polled[i].revents != 0 && !ReadChild(*current)) children_.erase(current);
      }
      if (polled[0].revents != 0) {
        if (std::optional<int> exit_code = ReadRequest()) return Close(*exit_code);
      }
    }
  }

 private:
  int NextTimeoutMs() const {
    auto next = SteadyClock::time_point::max();
    for (const Child& child : children_) {
      if (!child.past_deadline) next = std::min(next, child.deadline);
    }
    if (next == SteadyClock::time_point::max()) return -1;
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - SteadyClock::now());
    return static_cast<int>(std::clamp<int64_t>(wait.count(), 0, 3'600'000));
  }

  void KillOverdue() {
    const auto now = SteadyClock::now();
    for (Child& child : children_) {
      if (child.past_deadline || now < child.deadline) continue;
      child.past_deadline = true;
      kill(child.pid, SIGKILL);
    }
  }

  // False when the child has ended and was answered for.
  bool ReadChild(Child& child) {
    std::string buffer(limits::kMaxWorkerMessageBytes + 1, '\0');
    ssize_t size = recv(child.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (size > 0 && !child.reply) {
      WorkerReply reply;
      if (!reply.ParseFromArray(buffer.data(), static_cast<int>(size))) {
        reply = Failure("the function's reply could not be parsed");
      }
      child.reply = std::move(reply);
      return true;
    }
    if (size > 0) return true;
    Reap(child);
    return false;
  }

  // The child has closed its end. Whoever closes it without ending is killed; a child that is
  // already on its way out keeps its exit code.
  void Reap(Child& child) {
    kill(child.pid, SIGKILL);
    int status = 0;
    rusage usage{};
    while (wait4(child.pid, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    WorkerReply reply = Outcome(child, status);
    reply.set_invocation(child.invocation);
    auto& metering = *reply.mutable_metering();
    metering.set_wall_us(static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - child.started)
            .count()));
    metering.set_cpu_us(Microseconds(usage.ru_utime) + Microseconds(usage.ru_stime));
    metering.set_peak_memory_bytes(static_cast<uint64_t>(usage.ru_maxrss) * 1024);
    metering.set_cold_start(child.cold_start);
    std::error_code ignored;
    std::filesystem::remove_all(child.temp_dir, ignored);
    Answer(std::move(reply));
  }

  static WorkerReply Outcome(Child& child, int status) {
    WorkerReply reply;
    if (child.reply) {
      reply = *std::move(child.reply);
      if (reply.outcome() == worker::v1::WORKER_OUTCOME_OUT_OF_MEMORY) {
        reply.set_reason(OutOfMemoryReason(child, reply.reason()));
      }
    } else if (child.cancelled) {
      reply = Failure("cancelled");
    } else if (child.past_deadline) {
      reply.set_outcome(worker::v1::WORKER_OUTCOME_DEADLINE);
      reply.set_reason(absl::StrCat("killed at its deadline of ", child.deadline_ms,
                                    " ms; give the job a longer deadline or less local work"));
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == kExitOutOfMemory) {
      reply.set_outcome(worker::v1::WORKER_OUTCOME_OUT_OF_MEMORY);
      reply.set_reason(OutOfMemoryReason(child, ""));
    } else if (WIFSIGNALED(status)) {
      reply.set_outcome(worker::v1::WORKER_OUTCOME_KILLED);
      reply.set_reason(absl::StrCat("the function's process was killed by signal ",
                                    WTERMSIG(status), " (", strsignal(WTERMSIG(status)), ")"));
    } else {
      reply = Failure(absl::StrCat("the function's process ended with code ", WEXITSTATUS(status),
                                   " and without a reply"));
    }
    return reply;
  }

  static std::string OutOfMemoryReason(const Child& child, const std::string& detail) {
    return absl::StrCat("the function needs more than its limit of ", child.memory_bytes,
                        " bytes of memory; raise the device's worker memory limit or use a smaller "
                        "batch",
                        detail.empty() ? "" : ": ", detail);
  }

  // An exit code when the server shall end.
  std::optional<int> ReadRequest() {
    std::string buffer(limits::kMaxWorkerMessageBytes + 1, '\0');
    ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), MSG_TRUNC);
    if (size < 0) return errno == EINTR ? std::nullopt : std::optional<int>(1);
    if (size == 0) return 0;
    WorkerRequest request;
    if (static_cast<size_t>(size) > limits::kMaxWorkerMessageBytes ||
        !request.ParseFromArray(buffer.data(), static_cast<int>(size))) {
      LogError("worker: unreadable request", {{"bytes", size}});
      return std::nullopt;
    }
    if (request.function() == v1::FUNCTION_KIND_UNSPECIFIED) {
      Cancel(request.invocation());
      return std::nullopt;
    }
    if (absl::Status status = Start(request); !status.ok()) {
      WorkerReply reply = Failure(std::string(status.message()));
      reply.set_invocation(request.invocation());
      Answer(std::move(reply));
    }
    return std::nullopt;
  }

  void Cancel(const std::string& invocation) {
    for (Child& child : children_) {
      if (child.invocation != invocation || child.reply) continue;
      child.cancelled = true;
      kill(child.pid, SIGKILL);
    }
  }

  absl::Status Start(const WorkerRequest& request) {
    if (children_.size() >= kMaxConcurrentFunctions) {
      return absl::ResourceExhaustedError(
          absl::StrCat(kMaxConcurrentFunctions, " functions are running already; try again later"));
    }
    Child child;
    child.invocation = request.invocation();
    child.memory_bytes =
        request.memory_bytes() ? request.memory_bytes() : limits::kDefaultWorkerMemoryBytes;
    child.temp_dir = std::filesystem::path(request.output_dir()) / "tmp";
    if (mkdir(child.temp_dir.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, "making the function's temp folder", child.temp_dir);
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
      return absl::InternalError(absl::StrCat("socketpair: ", std::strerror(errno)));
    }
    child.fd = UniqueFd(pair[0]);
    UniqueFd child_end(pair[1]);
    child.cold_start = started_++ == 0;
    child.started = SteadyClock::now();
    child.deadline_ms = request.deadline_ms() ? request.deadline_ms()
                                              : std::chrono::milliseconds(kMaxFunctionTime).count();
    child.deadline =
        child.started + std::min<std::chrono::milliseconds>(
                            std::chrono::milliseconds(child.deadline_ms), kMaxFunctionTime);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) return absl::InternalError(absl::StrCat("fork: ", std::strerror(errno)));
    if (pid == 0) {
      LiveAsChild(parent, child_end.get(), request,
                  {.memory_bytes = child.memory_bytes,
                   .temp_dir = child.temp_dir,
                   .keep_fd = child_end.get()},
                  run_);
    }
    child.pid = pid;
    children_.push_back(std::move(child));
    return absl::OkStatus();
  }

  void Answer(WorkerReply reply) {
    const std::string invocation = reply.invocation();
    if (!SendAll(socket_.get(), Serialize(std::move(reply)))) {
      LogError("worker: reply not sent",
               {{"invocation", invocation}, {"error", std::strerror(errno)}});
    }
  }

  int Close(int exit_code) {
    for (Child& child : children_) {
      kill(child.pid, SIGKILL);
      waitpid(child.pid, nullptr, 0);
      std::error_code ignored;
      std::filesystem::remove_all(child.temp_dir, ignored);
    }
    return exit_code;
  }

  UniqueFd socket_;
  const RunInChild& run_;
  std::list<Child> children_;
  uint64_t started_ = 0;
};

}  // namespace

int RunForkServer(int socket_fd, const RunInChild& run_in_child) {
  return ForkServer(socket_fd, run_in_child).Serve();
}

}  // namespace muster
