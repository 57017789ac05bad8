// How fast updates are added to the sum, against memcpy of the same bytes. Prints at its end
//   weighted_sum_over_memcpy RATIO
// where RATIO is (update bytes added per second) / (update bytes copied per second): 1 would be as
// fast as a plain copy. The sum reads 4 bytes and reads and writes 8 per parameter, where a copy
// reads and writes 4.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "aggregation/sum/weighted_sum.h"
#include "proto/core/random.h"

namespace {

constexpr size_t kParameters = 10'000'000;
constexpr int kRepetitions = 9;

std::vector<float> Update() {
  muster::SeededRandom random(1);
  std::vector<float> update(kParameters);
  for (float& v : update) v = static_cast<float>(random.Unit() - 0.5);
  return update;
}

void CountBytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kParameters * sizeof(float)));
}

// What one client costs: check and add. Weight 1 keeps the total below its limit.
void BM_WeightedSumAdd(benchmark::State& state) {
  const std::vector<float> update = Update();
  muster::WeightedSum sum(kParameters);
  for (auto _ : state) {
    if (!sum.Add(update, 1).ok()) state.SkipWithError("the update was refused");
    benchmark::ClobberMemory();
  }
  CountBytes(state);
}
BENCHMARK(BM_WeightedSumAdd)->Unit(benchmark::kMillisecond);

void BM_CheckFinite(benchmark::State& state) {
  const std::vector<float> update = Update();
  for (auto _ : state) {
    benchmark::DoNotOptimize(muster::WeightedSum::CheckFinite(update, 0));
  }
  CountBytes(state);
}
BENCHMARK(BM_CheckFinite)->Unit(benchmark::kMillisecond);

void BM_Mean(benchmark::State& state) {
  muster::WeightedSum sum(kParameters);
  std::vector<float> mean = Update();
  if (!sum.Add(mean, 1).ok()) state.SkipWithError("the update was refused");
  for (auto _ : state) {
    if (!sum.Mean(mean).ok()) state.SkipWithError("no mean");
    benchmark::ClobberMemory();
  }
  CountBytes(state);
}
BENCHMARK(BM_Mean)->Unit(benchmark::kMillisecond);

void BM_Memcpy(benchmark::State& state) {
  const std::vector<float> update = Update();
  std::vector<float> copy(kParameters);
  for (auto _ : state) {
    std::memcpy(copy.data(), update.data(), kParameters * sizeof(float));
    benchmark::ClobberMemory();
  }
  CountBytes(state);
}
BENCHMARK(BM_Memcpy)->Unit(benchmark::kMillisecond);

template <typename Work>
double Seconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Both in turn, so that a busy machine slows both; the medians' ratio.
double Ratio() {
  const std::vector<float> update = Update();
  std::vector<float> copy(kParameters);
  muster::WeightedSum sum(kParameters);
  std::vector<double> added, copied;
  for (int i = 0; i < kRepetitions; ++i) {
    copied.push_back(Seconds([&] {
      std::memcpy(copy.data(), update.data(), kParameters * sizeof(float));
      benchmark::ClobberMemory();
    }));
    bool ok = false;
    added.push_back(Seconds([&] {
      ok = sum.Add(update, 1).ok();
      benchmark::ClobberMemory();
    }));
    if (!ok) return 0;
  }
  std::nth_element(added.begin(), added.begin() + kRepetitions / 2, added.end());
  std::nth_element(copied.begin(), copied.begin() + kRepetitions / 2, copied.end());
  return copied[kRepetitions / 2] / added[kRepetitions / 2];
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  std::printf("weighted_sum_over_memcpy %.3f\n", Ratio());
  return 0;
}
