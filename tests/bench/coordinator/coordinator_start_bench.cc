// From exec of muster-coordinator to its first answered RPC, over mTLS. Prints
//   coordinator_start_ms_p50 MS             with SQLite (target <= 50)
//   coordinator_start_postgres_ms_p50 MS    with a PostgreSQL server beside it (target <= 100)
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "muster/v1/operator.grpc.pb.h"
#include "proto/core/files.h"
#include "proto/transport/channel.h"
#include "tests/support/postgres_server.h"

extern char** environ;

namespace muster {
namespace {

constexpr int kStarts = 15;

pid_t Spawn(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

uint16_t FreePort() {
  const UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (bind(probe.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return 0;
  getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool Listens(uint16_t port) {
  const UniqueFd knock(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(port);
  return connect(knock.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

// Milliseconds, or a negative number if no answer came.
double StartOnce(const std::vector<std::string>& serve, const TlsMaterial& credential) {
  const uint16_t port = FreePort();
  const std::string address = "127.0.0.1:" + std::to_string(port);
  const auto began = std::chrono::steady_clock::now();
  const auto spent = [&] {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
        .count();
  };
  std::vector<std::string> command = serve;
  command.insert(command.end(), {"--listen", address, "--http", "127.0.0.1:0"});
  const pid_t pid = Spawn(command);
  while (!Listens(port) && spent() < 10'000) usleep(500);
  double answered = -1;
  if (auto channel = Connect(address, credential); channel.ok()) {
    auto stub = v1::OperatorService::NewStub(*channel);
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    v1::ListJobsResponse response;
    if (stub->ListJobs(&context, {}, &response).ok()) answered = spent();
  }
  kill(pid, SIGTERM);
  waitpid(pid, nullptr, 0);
  return answered;
}

// `store`: options that name the store, none for SQLite.
void MeasureStarts(benchmark::State& state, const char* name, std::vector<std::string> store) {
  std::string folder = std::filesystem::temp_directory_path() / "muster-start-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return state.SkipWithError("no temporary folder");
  const std::string credential_dir = folder + "/operator";
  const auto command = [&](const char* verb) {
    std::vector<std::string> line = {MUSTER_COORDINATOR_PATH, verb, "--state-dir", folder};
    line.insert(line.end(), store.begin(), store.end());
    return line;
  };
  std::vector<std::string> init = command("init");
  init.insert(init.end(), {"--credential-out", credential_dir});
  waitpid(Spawn(init), nullptr, 0);
  const auto credential = LoadTlsMaterial(credential_dir);
  if (!credential.ok()) return state.SkipWithError("init failed");
  for (auto _ : state) {
    std::vector<double> starts;
    for (int i = 0; i < kStarts; ++i) starts.push_back(StartOnce(command("serve"), *credential));
    std::sort(starts.begin(), starts.end());
    if (starts.front() < 0) return state.SkipWithError("a start was not answered");
    state.counters["min_ms"] = starts.front();
    state.counters["p50_ms"] = starts[kStarts / 2];
    state.counters["max_ms"] = starts.back();
    std::printf("%s %.1f\n", name, starts[kStarts / 2]);
  }
  std::filesystem::remove_all(folder);
}

void CoordinatorStart(benchmark::State& state) {
  MeasureStarts(state, "coordinator_start_ms_p50", {});
}
BENCHMARK(CoordinatorStart)->Iterations(1)->Unit(benchmark::kMillisecond);

void CoordinatorStartPostgres(benchmark::State& state) {
  MeasureStarts(state, "coordinator_start_postgres_ms_p50",
                {"--store", SharedPostgres().FreshUrl()});
}
BENCHMARK(CoordinatorStartPostgres)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace muster

BENCHMARK_MAIN();
