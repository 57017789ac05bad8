// How fast noise is drawn and vectors are rotated. Prints at its end
//   skellam_ns_per_sample NANOSECONDS
//   discrete_gaussian_ns_per_sample NANOSECONDS
// for a standard deviation of 10^5 from the operating system's generator, on one core.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <limits>
#include <vector>

#include "aggregation/privacy/buffered_random.h"
#include "aggregation/privacy/discrete_gaussian.h"
#include "aggregation/privacy/hadamard.h"
#include "aggregation/privacy/rounding.h"
#include "aggregation/privacy/skellam.h"

namespace {

constexpr size_t kSamples = 1'000'000;
constexpr double kDeviation = 1e5;

// What any sampler pays at least: 16 random bytes.
void BM_RandomBytes(benchmark::State& state) {
  muster::SystemRandom system;
  muster::BufferedRandom random(system);
  for (auto _ : state) {
    benchmark::DoNotOptimize(random.Next64());
    benchmark::DoNotOptimize(random.Next64());
  }
}
BENCHMARK(BM_RandomBytes);

void BM_Skellam(benchmark::State& state) {
  muster::SystemRandom system;
  muster::BufferedRandom random(system);
  const muster::SkellamSampler sampler(static_cast<double>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(sampler.Sample(random));
}
BENCHMARK(BM_Skellam)->Arg(1)->Arg(1000)->Arg(1'000'000)->Arg(10'000'000'000);

void BM_SkellamUnbuffered(benchmark::State& state) {
  muster::SystemRandom random;
  const muster::SkellamSampler sampler(kDeviation * kDeviation);
  for (auto _ : state) benchmark::DoNotOptimize(sampler.Sample(random));
}
BENCHMARK(BM_SkellamUnbuffered);

void BM_DiscreteGaussian(benchmark::State& state) {
  muster::SystemRandom system;
  muster::BufferedRandom random(system);
  const muster::DiscreteGaussianSampler sampler(static_cast<double>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(sampler.Sample(random));
}
BENCHMARK(BM_DiscreteGaussian)->Arg(1)->Arg(1000)->Arg(100'000);

void BM_MakeSkellam(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(muster::SkellamSampler(static_cast<double>(state.range(0))));
  }
}
BENCHMARK(BM_MakeSkellam)->Arg(1)->Arg(1000)->Arg(10'000'000'000)->Unit(benchmark::kMillisecond);

void BM_MakeDiscreteGaussian(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(muster::DiscreteGaussianSampler(kDeviation));
}
BENCHMARK(BM_MakeDiscreteGaussian)->Unit(benchmark::kMillisecond);

std::vector<float> Update(size_t size) {
  muster::SeededRandom random(1);
  std::vector<float> update(size);
  for (float& v : update) v = static_cast<float>(random.Unit() - 0.5);
  return update;
}

void BM_RandomizedHadamard(benchmark::State& state) {
  std::vector<float> update = Update(size_t{1} << state.range(0));
  const muster::Digest seed = muster::Sha256("seed");
  for (auto _ : state) {
    muster::RandomizedHadamard(seed, update);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * (int64_t{1} << state.range(0)));
}
BENCHMARK(BM_RandomizedHadamard)->Arg(16)->Arg(20)->Arg(24)->Unit(benchmark::kMillisecond);

void BM_ConditionalRound(benchmark::State& state) {
  const std::vector<float> update = Update(size_t{1} << 20);
  std::vector<int64_t> out(update.size());
  muster::SystemRandom random;
  for (auto _ : state) {
    if (!muster::ConditionalRound(update, 1e9, random, out).ok()) state.SkipWithError("too long");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(update.size()));
}
BENCHMARK(BM_ConditionalRound)->Unit(benchmark::kMillisecond);

// Processor time, and the best of several runs: what else the machine does hardly shows.
template <typename Sampler>
double NanosecondsPerSample(const Sampler& sampler) {
  muster::SystemRandom random;
  std::vector<int64_t> values(kSamples, 0);
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 7; ++i) {
    const std::clock_t start = std::clock();
    sampler.AddTo(values, random);
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best / kSamples * 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  std::printf("skellam_ns_per_sample %.1f\n",
              NanosecondsPerSample(muster::SkellamSampler(kDeviation * kDeviation)));
  std::printf("discrete_gaussian_ns_per_sample %.1f\n",
              NanosecondsPerSample(muster::DiscreteGaussianSampler(kDeviation)));
  return 0;
}
