#include "coordinator/cli/inspect.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "muster/v1/model.pb.h"
#include "proto/codec/json.h"
#include "proto/codec/model_codec.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

extern char** environ;

namespace muster::cli {
namespace {

constexpr char kWorkerName[] = "muster-worker";
constexpr char kRefusalPrefix[] = "muster-worker: ";

bool IsProgram(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

// A folder for one inspection's files.
class ScratchFolder {
 public:
  static absl::StatusOr<ScratchFolder> Make() {
    std::error_code error;
    const auto parent = std::filesystem::temp_directory_path(error);
    if (error) return ErrnoStatus(error.value(), "finding the temporary folder", "");
    std::string pattern = (parent / "muster-inspect-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return ErrnoStatus(errno, "making a folder in", parent);
    return ScratchFolder(pattern);
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

struct Pipe {
  UniqueFd read, write;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "making a pipe to", kWorkerName);
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

struct Finished {
  int exit_code = -1;  // -1: ended by a signal
  std::string out, err;
};

// Reads both pipes until they end. False: the time or the bound was over.
bool Drain(std::array<UniqueFd, 2>& pipes, std::array<std::string*, 2> texts) {
  const auto deadline = std::chrono::steady_clock::now() + kInspectTimeout;
  while (pipes[0].valid() || pipes[1].valid()) {
    std::array<pollfd, 2> polled = {{{pipes[0].get(), POLLIN, 0}, {pipes[1].get(), POLLIN, 0}}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    if (poll(polled.data(), polled.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) {
      return false;
    }
    for (size_t i = 0; i < pipes.size(); ++i) {
      if (!pipes[i].valid() || polled[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t got = read(pipes[i].get(), buffer, sizeof(buffer));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        pipes[i].Reset();
      } else if (texts[i]->size() + static_cast<size_t>(got) > kMaxInspectOutput) {
        return false;
      } else {
        texts[i]->append(buffer, static_cast<size_t>(got));
      }
    }
  }
  return true;
}

absl::StatusOr<Finished> RunProgram(const std::vector<std::string>& arguments) {
  MUSTER_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  MUSTER_ASSIGN_OR_RETURN(Pipe err, MakePipe());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return ErrnoStatus(error, "starting", arguments.front());
  out.write.Reset();
  err.write.Reset();
  Finished finished;
  std::array<UniqueFd, 2> pipes = {std::move(out.read), std::move(err.read)};
  const bool drained = Drain(pipes, {&finished.out, &finished.err});
  if (!drained) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!drained) {
    return absl::DeadlineExceededError(
        StrCat(arguments.front(), " did not finish inspecting the module within ",
               kInspectTimeout.count(), " minutes, or printed too much"));
  }
  if (WIFEXITED(status)) finished.exit_code = WEXITSTATUS(status);
  return finished;
}

std::string RefusalOf(const Finished& finished) {
  std::string text = finished.err;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.starts_with(kRefusalPrefix)) text.erase(0, sizeof(kRefusalPrefix) - 1);
  if (text.size() > limits::kMaxTextLength) text.resize(limits::kMaxTextLength);
  return text.empty() ? StrCat(kWorkerName, " ended with ", finished.exit_code, " and no reason")
                      : text;
}

}  // namespace

absl::StatusOr<std::filesystem::path> FindWorker(const std::string& named,
                                                 const std::string& environment,
                                                 const std::string& search_path) {
  for (const auto& [from, path] : {std::pair{"--worker", named}, {"MUSTER_WORKER", environment}}) {
    if (path.empty()) continue;
    if (IsProgram(path)) return std::filesystem::absolute(path);
    return absl::FailedPreconditionError(StrCat(from, " names ", path, ", which is no program"));
  }
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error && IsProgram(self.parent_path() / kWorkerName)) {
    return self.parent_path() / kWorkerName;
  }
  std::string_view rest = search_path;
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const std::filesystem::path folder(rest.substr(0, colon));
    rest = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
    if (!folder.empty() && IsProgram(folder / kWorkerName)) return folder / kWorkerName;
  }
  return absl::FailedPreconditionError(
      "muster-worker, which reads TorchScript files, is neither beside this program nor on PATH; "
      "install it, or name it with --worker or MUSTER_WORKER");
}

absl::StatusOr<Inspection> ParseInspection(std::string_view json) {
  const auto parsed = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object() || !parsed.contains("layout") || !parsed.contains("architecture") ||
      !parsed.contains("outputs") || !parsed["outputs"].is_number_unsigned() ||
      !parsed.contains("has_loss") || !parsed["has_loss"].is_boolean()) {
    return absl::InternalError(
        "muster-worker answered in a way that this muster does not know; install both from the "
        "same version");
  }
  Inspection inspection;
  inspection.outputs = parsed["outputs"].get<uint32_t>();
  inspection.has_loss = parsed["has_loss"].get<bool>();
  v1::Layout layout;
  MUSTER_RETURN_IF_ERROR(MessageFromJson("the module's layout", parsed["layout"].dump(), &layout));
  MUSTER_ASSIGN_OR_RETURN(inspection.layout, DecodeLayout(layout));
  if (!parsed["architecture"].is_null()) {
    v1::Architecture architecture;
    MUSTER_RETURN_IF_ERROR(
        MessageFromJson("the module's architecture", parsed["architecture"].dump(), &architecture));
    MUSTER_ASSIGN_OR_RETURN(inspection.architecture, DecodeArchitecture(architecture));
  }
  return inspection;
}

absl::StatusOr<Inspection> InspectModule(const std::filesystem::path& worker,
                                         const std::filesystem::path& module,
                                         const std::vector<uint32_t>& input_shape) {
  MUSTER_ASSIGN_OR_RETURN(const ScratchFolder scratch, ScratchFolder::Make());
  const std::string weights = (scratch.path() / "weights.f32").string();
  MUSTER_ASSIGN_OR_RETURN(
      const Finished finished,
      RunProgram({worker.string(), "inspect", "--module", module.string(), "--input-shape",
                  StrJoin(input_shape, ","), "--weights-out", weights}));
  if (finished.exit_code != 0) return absl::FailedPreconditionError(RefusalOf(finished));
  MUSTER_ASSIGN_OR_RETURN(Inspection inspection, ParseInspection(finished.out));
  MUSTER_ASSIGN_OR_RETURN(inspection.weights,
                          ReadFile(weights, limits::kMaxParameters * sizeof(float)));
  return inspection;
}

}  // namespace muster::cli
