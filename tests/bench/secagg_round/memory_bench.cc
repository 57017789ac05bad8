// Peak memory of the coordinator over a whole secure round of a model with 10 million parameters:
// 200 clients against 20. The real driver, SQLite, blob folder and staging area, until the new
// model is stored; one client in ten drops out after it has shared its secrets. Each case is a
// process of its own, so that its peak is its own. Prints
//   peak_memory RATIO    (target <= 1.2)
//   peak_memory_20_mb, peak_memory_200_mb
#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "tests/bench/secagg_round/client.h"
#include "tests/bench/secagg_round/coordinator.h"
#include "tests/bench/secagg_round/wire.h"

namespace muster {
namespace {

constexpr uint32_t kFeatures = 1'000'000, kClasses = 10;
constexpr size_t kAtOnce = 10;      // vectors that wait for the same commit
constexpr size_t kDropsEvery = 10;  // clients

bool DropsOut(size_t client) { return client % kDropsEvery == 3; }

void SubmitAll(const std::vector<std::unique_ptr<BenchClient>>& clients) {
  std::vector<BenchClient::Answer> answers;
  const auto settle = [&answers] {
    for (BenchClient::Answer& answer : answers) {
      const OfferAnswer told = answer.get();
      if (told.verdict != Verdict::kAccepted) Must(absl::InternalError(told.reason));
    }
    answers.clear();
  };
  for (size_t i = 0; i < clients.size(); ++i) {
    if (DropsOut(i)) continue;
    clients[i]->Mask();
    answers.push_back(clients[i]->SubmitMasked());
    if (answers.size() == kAtOnce) settle();
  }
  settle();
}

void PlayRound(uint32_t count, const std::filesystem::path& folder) {
  ManualClock clock(SystemClock().Now());
  BenchCoordinator coordinator(folder, clock);
  std::vector<std::unique_ptr<BenchClient>> clients;
  for (uint32_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<BenchClient>(coordinator, i));
  }
  const JobSpec spec = coordinator.Spec(kFeatures, kClasses, count, AggregationMode::kSemiHonest);
  const JobId job = coordinator.Submit(spec);
  for (const auto& client : clients) client->CheckIn();
  for (const auto& client : clients) client->Advertise();
  for (const auto& client : clients) client->Share();
  SubmitAll(clients);
  clock.Advance(spec.aggregation.phase_deadline);
  Must(coordinator.tasks().RunDue());
  for (size_t i = 0; i < clients.size(); ++i) {
    if (!DropsOut(i) && !clients[i]->Unmask()) break;
  }
  coordinator.Commit(job);
}

// Peak resident bytes of a process that plays a round of so many clients; 0 if it failed.
double PeakBytes(uint32_t clients) {
  const BenchFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    PlayRound(clients, folder.path());
    _exit(0);
  }
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  return status == 0 ? static_cast<double>(usage.ru_maxrss) * 1024 : 0;
}

void SecAggPeakMemory(benchmark::State& state) {
  for (auto _ : state) {
    const double few = PeakBytes(20), many = PeakBytes(200);
    if (few == 0 || many == 0) {
      state.SkipWithError("a case failed: see above");
      return;
    }
    std::printf("peak_memory_20_mb %.1f\n", few / 1e6);
    std::printf("peak_memory_200_mb %.1f\n", many / 1e6);
    std::printf("peak_memory %.3f\n", many / few);
  }
}
BENCHMARK(SecAggPeakMemory)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace muster

BENCHMARK_MAIN();
