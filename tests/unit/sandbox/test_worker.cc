// A fork server whose functions misbehave on request: `manifest_path` names the behaviour.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <new>
#include <stdexcept>

#include "client/sandbox/fork_server.h"
#include "proto/core/limits.h"

namespace {

using muster::worker::v1::WorkerReply;
using muster::worker::v1::WorkerRequest;
using Result = absl::StatusOr<WorkerReply>;

Result Metric(const std::string& name, double value) {
  WorkerReply reply;
  (*reply.mutable_metrics())[name] = value;
  return reply;
}

// errno of a call that must be refused; 0 when it was not.
Result Refusal(long result) { return Metric("errno", result < 0 ? errno : 0); }

Result Echo(const WorkerRequest& request) {
  WorkerReply reply;
  reply.set_examples(request.seed());
  (*reply.mutable_metrics())["pid"] = getpid();
  (*reply.mutable_metrics())["parent"] = getppid();
  return reply;
}

Result HangForever(const WorkerRequest&) {
  while (true) pause();
}

// Opens a FIFO for writing, which waits for a reader, and writes its process id.
void AnnouncePid(const std::string& fifo) { std::ofstream(fifo) << getpid() << std::endl; }

Result AnnounceAndHang(const WorkerRequest& request) {
  AnnouncePid(request.module_path());
  return HangForever(request);
}

// Reads one line from a FIFO: waits until somebody writes to it.
Result WaitForWriter(const WorkerRequest& request) {
  std::string line;
  std::getline(std::ifstream(request.module_path()) >> std::ws, line);
  return Metric("bytes", static_cast<double>(line.size()));
}

Result WriteToReader(const WorkerRequest& request) {
  AnnouncePid(request.module_path());
  return WorkerReply();
}

// As an allocator does it: ask the kernel, throw when it refuses.
Result AllocateUntilRefused(const WorkerRequest&) {
  constexpr size_t kBlock = 16u << 20;
  void* last = nullptr;
  while (true) {
    void* block = mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
      if (last != nullptr) munmap(last, kBlock);  // throwing takes memory too, under sanitizers
      throw std::bad_alloc();
    }
    std::memset(block, 1, 4096);
    last = block;
  }
}

Result WriteHugeFile(const WorkerRequest& request) {
  const std::string path = request.output_dir() + "/huge";
  const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  return Refusal(pwrite(fd, "x", 1, static_cast<off_t>(muster::limits::kMaxBlobBytes)));
}

Result CountDescriptors(const WorkerRequest&) {
  DIR* folder = opendir("/proc/self/fd");
  int count = -1;  // the folder's own
  while (dirent* entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return Metric("descriptors", count);
}

Result UseTempFolder(const WorkerRequest&) {
  std::ofstream(std::string(std::getenv("TMPDIR")) + "/scratch") << "x";
  return Metric("cwd_is_tmpdir", std::filesystem::exists("scratch") ? 1 : 0);
}

Result Socket(const WorkerRequest&) { return Refusal(socket(AF_INET, SOCK_STREAM, 0)); }
Result UnixSocket(const WorkerRequest&) { return Refusal(socket(AF_UNIX, SOCK_STREAM, 0)); }
Result Execve(const WorkerRequest&) {
  char name[] = "/bin/true";
  char* arguments[] = {name, nullptr};
  return Refusal(execve(name, arguments, nullptr));
}
Result Fork(const WorkerRequest&) { return Refusal(fork()); }
Result Ptrace(const WorkerRequest&) { return Refusal(ptrace(PTRACE_ATTACH, getppid(), 0, 0)); }
Result KillParent(const WorkerRequest&) { return Refusal(kill(getppid(), SIGKILL)); }
Result Abort(const WorkerRequest&) { std::abort(); }
Result Throw(const WorkerRequest&) { throw std::runtime_error("boom"); }
Result Fail(const WorkerRequest&) { return absl::NotFoundError("no such file: x"); }
Result ExitQuietly(const WorkerRequest&) { _exit(3); }
Result HugeReply(const WorkerRequest&) {
  WorkerReply reply;
  for (int i = 0; i < 20000; ++i) reply.add_files("file-" + std::to_string(i));
  return reply;
}

Result Dispatch(const WorkerRequest& request) {
  static const std::map<std::string, Result (*)(const WorkerRequest&)> kFunctions{
      {"echo", Echo},
      {"hang", HangForever},
      {"announce", AnnounceAndHang},
      {"wait", WaitForWriter},
      {"write", WriteToReader},
      {"oom", AllocateUntilRefused},
      {"huge", WriteHugeFile},
      {"descriptors", CountDescriptors},
      {"temp", UseTempFolder},
      {"socket", Socket},
      {"unix", UnixSocket},
      {"exec", Execve},
      {"fork", Fork},
      {"ptrace", Ptrace},
      {"kill_parent", KillParent},
      {"abort", Abort},
      {"throw", Throw},
      {"fail", Fail},
      {"exit", ExitQuietly},
      {"huge_reply", HugeReply}};
  return kFunctions.at(request.manifest_path())(request);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  return muster::RunForkServer(std::atoi(argv[3]), Dispatch);
}
