// muster-worker: the process in which training functions run. Nobody starts it by hand but to
// inspect a TorchScript file; the agent starts `serve` when there is work, and ends it when there
// is none.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "client/sandbox/fork_server.h"
#include "client/worker/inspect_command.h"
#include "models/torch/functions.h"
#include "proto/core/log.h"

namespace muster {
namespace {

namespace options = boost::program_options;
using worker::v1::WorkerReply;
using worker::v1::WorkerRequest;

constexpr int kExitFailed = 1, kExitUsage = 2;

constexpr char kHelp[] =
    R"(muster-worker - run training functions of a muster device

Usage:
  muster-worker serve --fd N
      Serves muster.worker.v1 requests on the SOCK_SEQPACKET socket N: one sandboxed child process
      per request. Started by muster-client; ends when the other side closes the socket.

  muster-worker inspect --module M.pt --input-shape 1,28,28
                        [--layout-out L.json] [--weights-out W.f32]
      Checks that a TorchScript file can be trained and prints what it holds as one line of JSON:
      {"architecture": ... or null, "layout": ..., "outputs": N, "has_loss": true|false}.
      --input-shape    one example, without the batch: channels first, separated by commas
      --layout-out     also write the layout (muster.v1.Layout as JSON) to this file
      --weights-out    also write the parameters (float32, little-endian) to this file
      The file must come from torch.jit.script(model).save(path); traced and frozen modules are
      refused.

  muster-worker --help

Exit codes: 0 done, 1 failed (the reason is on stderr), 2 usage.
)";

// OpenBLAS and OpenMP read these when they are loaded, before main: where they are missing, the
// program starts itself again. More than one thread would hang forked children.
void EnsureSingleThreadedLibraries(char** argv) {
  const char* blas = std::getenv("OPENBLAS_NUM_THREADS");
  const char* omp = std::getenv("OMP_NUM_THREADS");
  if (blas != nullptr && omp != nullptr && std::strcmp(blas, "1") == 0 &&
      std::strcmp(omp, "1") == 0) {
    return;
  }
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  setenv("OMP_NUM_THREADS", "1", 1);
  execv("/proc/self/exe", argv);
  LogWarning("cannot start again with one thread", {{"error", std::strerror(errno)}});
}

absl::StatusOr<WorkerReply> RunInChild(const WorkerRequest& request) {
  absl::StatusOr<FunctionResult> result = RunFunction(request);
  WorkerReply reply;
  if (!result.ok()) {
    if (!IsOutOfMemory(result.status())) return result.status();
    reply.set_outcome(worker::v1::WORKER_OUTCOME_OUT_OF_MEMORY);
    reply.set_reason(std::string(result.status().message()));
    return reply;
  }
  reply.set_examples(result->examples);
  for (const auto& [name, value] : result->metrics) (*reply.mutable_metrics())[name] = value;
  for (const std::string& file : result->files) reply.add_files(file);
  return reply;
}

int Serve(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
    std::cerr << "muster-worker: descriptor " << fd
              << " is no SOCK_SEQPACKET socket; muster-client starts this program with one\n";
    return kExitUsage;
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  WarmUp();
  const auto threads = std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  if (threads != 1) {
    LogError("LibTorch started threads, so forked functions could hang", {{"threads", threads}});
    return kExitFailed;
  }
  return RunForkServer(fd, RunInChild);
}

int Inspect(const InspectCommand& command) {
  WarmUp();
  absl::StatusOr<std::string> json = RunInspect(command);
  if (!json.ok()) {
    std::cerr << "muster-worker: " << std::string(json.status().message()) << "\n";
    return kExitFailed;
  }
  std::cout << *json << std::endl;
  return 0;
}

int UsageError(const std::string& what) {
  std::cerr << "muster-worker: " << what << "; see muster-worker --help\n";
  return kExitUsage;
}

int Main(int argc, char** argv) {
  options::options_description flags;
  flags.add_options()("help", "")("command", options::value<std::string>())(
      "fd", options::value<int>())("module", options::value<std::string>())(
      "input-shape", options::value<std::string>())(
      "layout-out", options::value<std::string>()->default_value(""))(
      "weights-out", options::value<std::string>()->default_value(""));
  options::positional_options_description positional;
  positional.add("command", 1);
  options::variables_map given;
  try {
    options::store(
        options::command_line_parser(argc, argv).options(flags).positional(positional).run(),
        given);
  } catch (const options::error& error) {
    return UsageError(error.what());
  }
  if (given.count("help")) {
    std::cout << kHelp;
    return 0;
  }
  const std::string command = given.count("command") ? given["command"].as<std::string>() : "";
  if (command == "serve") {
    if (!given.count("fd")) return UsageError("serve needs --fd");
    EnsureSingleThreadedLibraries(argv);
    return Serve(given["fd"].as<int>());
  }
  if (command == "inspect") {
    if (!given.count("module")) return UsageError("inspect needs --module");
    if (!given.count("input-shape")) return UsageError("inspect needs --input-shape");
    auto shape = ParseInputShape(given["input-shape"].as<std::string>());
    if (!shape.ok()) return UsageError(std::string(shape.status().message()));
    return Inspect({.module = given["module"].as<std::string>(),
                    .input_shape = *shape,
                    .layout_out = given["layout-out"].as<std::string>(),
                    .weights_out = given["weights-out"].as<std::string>()});
  }
  return UsageError(command.empty() ? "no command" : "unknown command '" + command + "'");
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  const int exit_code = muster::Main(argc, argv);
  // The exit handlers of LibTorch's libraries take 0.1 to 0.2 s and have nothing to save.
  std::cout.flush();
  _exit(exit_code);
}
