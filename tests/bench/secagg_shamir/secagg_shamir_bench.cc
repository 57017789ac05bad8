// What secret sharing costs: 32 bytes among n holders, with the operating system's randomness, and
// back from t of them with one Recovery for many secrets. Prints at its end, as medians in
// microseconds,
//   shamir_100_51_share_us TIME
//   shamir_100_51_recover_us TIME
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <span>
#include <vector>

#include "aggregation/secagg/shamir.h"
#include "aggregation/secagg/shamir_kernels.h"
#include "proto/core/random.h"

namespace {

using muster::SecretBytes;
using muster::secagg::kSecretBytes;
using muster::secagg::kShareBytes;
using muster::secagg::Recovery;
using muster::secagg::ShamirKernel;
using muster::secagg::SplitSecret;
using ShareView = std::span<const uint8_t, kShareBytes>;

constexpr uint32_t kHolders = 100;
constexpr uint32_t kThreshold = 51;
constexpr int kRepetitions = 301;
constexpr int kInnerRepetitions = 20;  // one of them is too short for the clock

SecretBytes<kSecretBytes> SomeSecret() {
  muster::SystemRandom random;
  SecretBytes<kSecretBytes> secret;
  random.Fill(secret.writable());
  return secret;
}

// The first `threshold` holders answer.
struct Answers {
  Answers(uint32_t holders, uint32_t threshold) {
    muster::SystemRandom random;
    shares = SplitSecret(SomeSecret().span(), holders, threshold, random);
    responders.resize(threshold);
    std::iota(responders.begin(), responders.end(), 0u);
    for (const uint32_t holder : responders) views.push_back(shares[holder].span());
  }
  std::vector<SecretBytes<kShareBytes>> shares;
  std::vector<uint32_t> responders;
  std::vector<ShareView> views;
};

void BM_Share(benchmark::State& state) {
  muster::SystemRandom random;
  const auto secret = SomeSecret();
  for (auto _ : state) {
    benchmark::DoNotOptimize(SplitSecret(secret.span(), static_cast<uint32_t>(state.range(0)),
                                         static_cast<uint32_t>(state.range(1)), random));
  }
}
BENCHMARK(BM_Share)
    ->Args({kHolders, kThreshold})
    ->Args({254, 170})
    ->Args({1000, 635})
    ->Unit(benchmark::kMicrosecond);

// The polynomial alone, on every processor's path and on the best one.
void BM_Evaluate(benchmark::State& state, const ShamirKernel& kernel) {
  const bool wide = state.range(0) != 0;
  std::vector<uint8_t> coefficients(kThreshold * kShareBytes, 0x5A);
  std::array<uint8_t, kShareBytes> out;
  for (auto _ : state) {
    for (uint16_t x = 1; x <= kHolders; ++x) {
      (wide ? kernel.wide : kernel.narrow)(coefficients, x, out);
      benchmark::DoNotOptimize(out);
    }
  }
}
void BM_EvaluatePortable(benchmark::State& state) {
  BM_Evaluate(state, muster::secagg::PortableShamir());
}
BENCHMARK(BM_EvaluatePortable)->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);
void BM_EvaluateShuffled(benchmark::State& state) {
  if (!muster::secagg::HasShuffledShamir()) {
    state.SkipWithError("this processor has no SSSE3");
    return;
  }
  BM_Evaluate(state, muster::secagg::ShuffledShamir());
}
BENCHMARK(BM_EvaluateShuffled)->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);

void BM_PrepareRecovery(benchmark::State& state) {
  const auto holders = static_cast<uint32_t>(state.range(0));
  const Answers answers(holders, static_cast<uint32_t>(state.range(1)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(Recovery::For(holders, answers.responders));
  }
}
BENCHMARK(BM_PrepareRecovery)
    ->Args({kHolders, kThreshold})
    ->Args({1000, 635})
    ->Unit(benchmark::kMicrosecond);

void BM_Recover(benchmark::State& state) {
  const auto holders = static_cast<uint32_t>(state.range(0));
  const Answers answers(holders, static_cast<uint32_t>(state.range(1)));
  const auto recovery = Recovery::For(holders, answers.responders);
  if (!recovery.ok()) {
    state.SkipWithError("no recovery");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(recovery->Combine(answers.views));
}
BENCHMARK(BM_Recover)
    ->Args({kHolders, kThreshold})
    ->Args({1000, 635})
    ->Unit(benchmark::kMicrosecond);

template <typename Work>
double MedianMicroseconds(const Work& work) {
  std::vector<double> times;
  for (int i = 0; i < kRepetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (int j = 0; j < kInnerRepetitions; ++j) work();
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    times.push_back(time.count() / kInnerRepetitions);
  }
  std::nth_element(times.begin(), times.begin() + kRepetitions / 2, times.end());
  return times[kRepetitions / 2];
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();

  muster::SystemRandom random;
  const auto secret = SomeSecret();
  std::printf("shamir_%u_%u_share_us %.2f\n", kHolders, kThreshold, MedianMicroseconds([&] {
                benchmark::DoNotOptimize(SplitSecret(secret.span(), kHolders, kThreshold, random));
              }));
  const Answers answers(kHolders, kThreshold);
  const auto recovery = Recovery::For(kHolders, answers.responders);
  if (!recovery.ok()) return 1;
  std::printf("shamir_%u_%u_recover_us %.2f\n", kHolders, kThreshold, MedianMicroseconds([&] {
                benchmark::DoNotOptimize(recovery->Combine(answers.views));
              }));
  return 0;
}
