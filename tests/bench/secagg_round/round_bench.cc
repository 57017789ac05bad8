// A whole secure round against the same round in the clear: 50 clients at once, 1 million
// parameters, everything real but the network and the training. Prints
//   secagg_over_plain_round RATIO    (target <= 2.0), of the fastest of each
//   secagg_round_s, plain_round_s    seconds
//   secagg_round_PHASE_s, plain_round_PHASE_s    where they go
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/bench/secagg_round/client.h"
#include "tests/bench/secagg_round/coordinator.h"
#include "tests/bench/secagg_round/wire.h"

namespace muster {
namespace {

constexpr uint32_t kClients = 50;
constexpr uint32_t kFeatures = 100'000, kClasses = 10;
constexpr int kRepetitions = 5;

using Clients = std::vector<std::unique_ptr<BenchClient>>;

// Every client on a thread of its own.
void All(const Clients& clients, const std::function<void(BenchClient&)>& step) {
  std::vector<std::jthread> threads;
  for (const auto& client : clients) threads.emplace_back([&step, &client] { step(*client); });
}

void MustBeAccepted(BenchClient::Answer answer) {
  const OfferAnswer told = answer.get();
  if (told.verdict != Verdict::kAccepted) Must(absl::InternalError(told.reason));
}

// Seconds of a round, phase by phase.
class Laps {
 public:
  void End(const char* phase) {
    const auto now = std::chrono::steady_clock::now();
    laps_.emplace_back(phase, std::chrono::duration<double>(now - last_).count());
    total_ += laps_.back().second;
    last_ = now;
  }
  double total() const { return total_; }
  void Print(const char* round) const {
    std::printf("%s_round_s %.4f\n", round, total_);
    for (const auto& [phase, seconds] : laps_) {
      std::printf("%s_round_%s_s %.4f\n", round, phase, seconds);
    }
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::vector<std::pair<const char*, double>> laps_;
  double total_ = 0;
};

Laps SecureRound(BenchCoordinator& coordinator, const Clients& clients, const JobId& job) {
  Laps laps;
  All(clients, [](BenchClient& client) { client.CheckIn(); });
  laps.End("check_in");
  All(clients, [](BenchClient& client) { client.Advertise(); });
  laps.End("advertise");
  All(clients, [](BenchClient& client) { client.Share(); });
  laps.End("share");
  All(clients, [](BenchClient& client) { client.Mask(); });
  laps.End("mask");
  All(clients, [](BenchClient& client) { MustBeAccepted(client.SubmitMasked()); });
  laps.End("submit");
  All(clients, [](BenchClient& client) { client.Unmask(); });
  laps.End("unmask");
  coordinator.Commit(job);
  laps.End("finalize");
  return laps;
}

Laps PlainRound(BenchCoordinator& coordinator, const Clients& clients, const JobId& job,
                uint64_t parameters) {
  Laps laps;
  All(clients, [](BenchClient& client) { client.CheckIn(); });
  laps.End("check_in");
  All(clients, [parameters](BenchClient& client) { MustBeAccepted(client.Submit(parameters)); });
  laps.End("submit");
  coordinator.Commit(job);
  laps.End("finalize");
  return laps;
}

// Both rounds had the same updates.
void CheckModels(const std::vector<float>& secure, const std::vector<float>& plain) {
  constexpr float kTolerance = 1e-3f;
  for (size_t i = 0; i < plain.size(); ++i) {
    if (std::abs(secure[i] - plain[i]) > kTolerance) {
      Must(absl::InternalError("the two rounds made different models"));
    }
  }
}

void SecAggOverPlainRound(benchmark::State& state) {
  for (auto _ : state) {
    const BenchFolder folder;
    SystemClock clock;
    BenchCoordinator coordinator(folder.path(), clock);
    Clients clients;
    for (uint64_t i = 0; i < kClients; ++i) {
      clients.push_back(std::make_unique<BenchClient>(coordinator, i));
    }
    const JobSpec secure_spec =
        coordinator.Spec(kFeatures, kClasses, kClients, AggregationMode::kSemiHonest);
    const JobSpec plain_spec =
        coordinator.Spec(kFeatures, kClasses, kClients, AggregationMode::kClear);
    std::vector<Laps> secure, plain;
    for (int i = 0; i < kRepetitions; ++i) {
      const JobId secure_job = coordinator.Submit(secure_spec);
      secure.push_back(SecureRound(coordinator, clients, secure_job));
      const JobId plain_job = coordinator.Submit(plain_spec);
      plain.push_back(PlainRound(coordinator, clients, plain_job, plain_spec.layout.shared_size()));
      CheckModels(coordinator.Model(secure_job), coordinator.Model(plain_job));
    }
    const auto faster = [](const Laps& a, const Laps& b) { return a.total() < b.total(); };
    const Laps& best_secure = *std::min_element(secure.begin(), secure.end(), faster);
    const Laps& best_plain = *std::min_element(plain.begin(), plain.end(), faster);
    best_secure.Print("secagg");
    best_plain.Print("plain");
    std::printf("secagg_over_plain_round %.3f\n", best_secure.total() / best_plain.total());
  }
}
BENCHMARK(SecAggOverPlainRound)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace muster

BENCHMARK_MAIN();
