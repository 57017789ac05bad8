#include "client/agent/eligibility.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "absl/strings/str_split.h"
#include "client/agent/text.h"
#include "models/data/source.h"
#include "proto/core/files.h"
#include "proto/core/log.h"

extern char** environ;

namespace muster {
namespace {

using text::Cat;

constexpr size_t kMaxSystemFile = 64u << 10;
constexpr Duration kProbeAgain = std::chrono::minutes(1);

// A one-line file of the system, without its end of line; "" if it is not there.
std::string ReadLine(const std::filesystem::path& path) {
  auto text = ReadFile(path, kMaxSystemFile);
  if (!text.ok()) return "";
  return text->substr(0, text->find('\n'));
}

// Interfaces whose traffic is usually paid for by volume.
bool IsMeteredInterface(std::string_view name) {
  for (std::string_view prefix : {"wwan", "ppp", "rmnet", "usb", "wwp", "ccmni"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

absl::Status WaitFor(pid_t pid, const std::string& program, std::chrono::milliseconds timeout) {
  UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  pollfd ended{process.get(), POLLIN, 0};
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  int ready = 0;
  do {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    ready = poll(&ended, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) kill(-pid, SIGKILL);  // with all that it started
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (ready <= 0) {
    return absl::DeadlineExceededError(
        Cat("'", program, "' did not end within ", timeout.count(), " ms and was killed"));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      WIFEXITED(status) ? Cat("'", program, "' exited with code ", WEXITSTATUS(status))
                        : Cat("'", program, "' was ended by signal ", WTERMSIG(status)));
}

}  // namespace

bool IsIdle(const Surroundings& surroundings, double load_per_core) {
  const std::string line = ReadLine(surroundings.loadavg);
  if (line.empty()) return true;
  const unsigned cores = surroundings.cores > 0 ? surroundings.cores
                                                : std::max(1u, std::thread::hardware_concurrency());
  return std::strtod(line.c_str(), nullptr) <= load_per_core * cores;
}

bool IsCharging(const Surroundings& surroundings) {
  bool battery = false, powered = false;
  std::error_code error;
  for (const auto& supply : std::filesystem::directory_iterator(surroundings.power_supply, error)) {
    const std::string type = ReadLine(supply.path() / "type");
    if (type == "Battery") {
      // A mouse's or a headset's battery says nothing about this device.
      if (ReadLine(supply.path() / "scope") == "Device") continue;
      battery = true;
      const std::string status = ReadLine(supply.path() / "status");
      powered = powered || status == "Charging" || status == "Full" || status == "Not charging";
    } else {
      powered = powered || ReadLine(supply.path() / "online") == "1";
    }
  }
  return !battery || powered;
}

bool IsMetered(const Surroundings& surroundings) {
  auto table = ReadFile(surroundings.routes, kMaxSystemFile);
  if (!table.ok()) return false;
  for (absl::string_view row : absl::StrSplit(*table, '\n')) {
    const std::vector<std::string> fields =
        absl::StrSplit(row, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (fields.size() > 7 && fields[1] == "00000000" && fields[7] == "00000000" &&
        IsMeteredInterface(fields[0])) {
      return true;
    }
  }
  return false;
}

absl::Status RunCommand(const std::vector<std::string>& argv, std::chrono::milliseconds timeout) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  for (int fd : {0, 1, 2}) {
    posix_spawn_file_actions_addopen(&files, fd, "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY, 0);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  const int error =
      posix_spawnp(&pid, arguments[0], &files, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return absl::FailedPreconditionError(
        Cat("cannot run '", argv[0], "': ", strerror(error), "; correct eligibility.command"));
  }
  return WaitFor(pid, argv[0], timeout);
}

void DataProbe::Refresh(Timestamp now) {
  if (has_data_ || now < next_) return;
  next_ = now + kProbeAgain;
  if (config_.format == DataFormat::kNone) {
    status_ = absl::NotFoundError("no 'data' section in the configuration");
    return;
  }
  auto count = CountTrainExamples(ToDataSource(config_));
  malloc_trim(0);  // the labels of a large set are gone again
  status_ = count.status();
  if (!count.ok()) {
    LogWarning("this device's data cannot be read: it offers none until that is mended",
               {{"error", text::View(count.status().message())}});
    return;
  }
  train_examples_ = *count;
  has_data_ = train_examples_ > 0 || config_.held_out_fraction > 0;
}

Eligibility MeasureEligibility(const EligibilityConfig& config, const Surroundings& surroundings,
                               DataProbe& data, Timestamp now) {
  data.Refresh(now);
  Eligibility eligibility;
  eligibility.idle = !config.require_idle || IsIdle(surroundings, config.idle_load_per_core);
  eligibility.charging = !config.require_charging || IsCharging(surroundings);
  eligibility.unmetered = !config.require_unmetered || !(config.metered || IsMetered(surroundings));
  eligibility.custom = true;
  if (!config.command.empty()) {
    const absl::Status agreed = RunCommand(config.command, config.command_timeout);
    eligibility.custom = agreed.ok();
    if (!agreed.ok()) {
      LogDebug("the eligibility command does not agree",
               {{"reason", text::View(agreed.message())}});
    }
  }
  eligibility.has_data = data.has_data();
  eligibility.train_examples = data.train_examples();
  return eligibility;
}

}  // namespace muster
