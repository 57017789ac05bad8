#include "client/functions/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "proto/core/status.h"

namespace muster {
namespace {

constexpr std::string_view kKeptVariables[] = {
    "PATH=",         "LD_LIBRARY_PATH=", "LANG=",  "ASAN_OPTIONS=",
    "TSAN_OPTIONS=", "UBSAN_OPTIONS=",   "TMPDIR="};

std::vector<char*> KeptEnvironment() {
  std::vector<char*> kept;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    for (std::string_view prefix : kKeptVariables) {
      if (std::string_view(*variable).starts_with(prefix)) kept.push_back(*variable);
    }
  }
  kept.push_back(nullptr);
  return kept;
}

// Owns the two attribute objects of posix_spawn.
struct SpawnSettings {
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

}  // namespace

absl::StatusOr<ChildProcess> SpawnChild(const std::filesystem::path& binary,
                                        const std::vector<std::string>& arguments) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "making a connection for", binary);
  }
  ChildProcess child;
  child.connection = UniqueFd(ends[0]);
  // dup2 onto itself would leave close-on-exec set, so the child's end must have another number.
  UniqueFd far(fcntl(ends[1], F_DUPFD_CLOEXEC, kChildConnectionFd + 1));
  close(ends[1]);
  if (!far.valid()) return ErrnoStatus(errno, "making a connection for", binary);

  SpawnSettings settings;
  posix_spawn_file_actions_addopen(&settings.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&settings.actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&settings.actions, far.get(), kChildConnectionFd);
  posix_spawn_file_actions_addclosefrom_np(&settings.actions, kChildConnectionFd + 1);

  std::string name = binary.string();
  std::vector<char*> argv = {name.data()};
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::vector<char*> environment = KeptEnvironment();
  const int error = posix_spawn(&child.pid, name.c_str(), &settings.actions, &settings.attributes,
                                argv.data(), environment.data());
  if (error != 0) return ErrnoStatus(error, "starting", binary);
  return child;
}

uint64_t ReapChild(pid_t pid) {
  kill(pid, SIGKILL);  // a zombie, if it has ended, does not mind
  rusage usage = {};
  int status = 0;
  pid_t waited;
  do {
    waited = wait4(pid, &status, 0, &usage);
  } while (waited < 0 && errno == EINTR);
  if (waited != pid) return 0;
  const auto microseconds = [](const timeval& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
  };
  return microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
}

}  // namespace muster
