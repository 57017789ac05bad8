// What masking costs, against the keystream alone: EVP's AES-128-CTR over the same number of bytes,
// in calls of one tile, in this process. Prints at its end
//   mask_over_keystream[_portable] RATIO     a client: 21 masks over 10 million parameters of 32
//                                            bits, one thread
//   unmask_over_keystream[_portable] RATIO   the coordinator: n = 1000, k = 58, one client in ten
//                                            dropped, 1 million parameters; all cores, against one
//                                            core's keystream time divided by the number of cores
// The first of each pair is the best kernel of this processor. Smaller is better; 1 costs no more
// than the keystream.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "aggregation/secagg/mask.h"
#include "proto/core/random.h"

namespace {

using muster::secagg::MaskCipher;
using muster::secagg::MaskKernel;
using muster::secagg::MaskSet;

constexpr size_t kTile = 8u << 10;  // what EVP is fastest with
constexpr uint32_t kRingBits = 32;

constexpr size_t kClientMasks = 21;
constexpr size_t kClientBytes = 10'000'000 * sizeof(uint32_t);

// 900 survivors' own masks, and those between 100 dropped clients and their 58 * 0.9 surviving
// neighbours.
constexpr size_t kServerMasks = 900 + 5220;
constexpr size_t kServerBytes = 1'000'000 * sizeof(uint32_t);

MaskSet Masks(size_t count, MaskKernel kernel) {
  muster::SeededRandom random(1);
  std::vector<muster::secagg::SignedMask> masks(count);
  for (size_t i = 0; i < count; ++i) {
    masks[i].key = muster::secagg::MaskKey::Fresh(random);
    masks[i].subtract = i % 2 == 1;
  }
  return MaskSet(MaskCipher::kAes128Ctr, kRingBits, std::move(masks), kernel);
}

// The floor: `bytes` of keystream, tile after tile into the same buffer.
void Keystream(size_t bytes) {
  static const std::vector<uint8_t> zeros(kTile);
  static std::vector<uint8_t> out(kTile);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  if (EVP_EncryptInit_ex2(context, EVP_aes_128_ctr(), zeros.data(), zeros.data(), nullptr) != 1) {
    std::abort();
  }
  int written = 0;
  for (size_t done = 0; done < bytes; done += kTile) {
    EVP_EncryptUpdate(context, out.data(), &written, zeros.data(), static_cast<int>(kTile));
    benchmark::DoNotOptimize(out.data());
  }
  EVP_CIPHER_CTX_free(context);
}

void CountBytes(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
}

void BM_EvpKeystream(benchmark::State& state) {
  for (auto _ : state) Keystream(kClientBytes);
  CountBytes(state, kClientBytes);
}
BENCHMARK(BM_EvpKeystream)->Unit(benchmark::kMillisecond);

void BM_Mask(benchmark::State& state) {
  const auto kernel = static_cast<MaskKernel>(state.range(0));
  state.SetLabel(std::string(muster::secagg::KernelName(kernel)));
  if (!muster::secagg::HasKernel(kernel)) return state.SkipWithError("not on this processor");
  const MaskSet masks = Masks(kClientMasks, kernel);
  std::vector<uint8_t> vector(kClientBytes);
  for (auto _ : state) masks.Apply(0, vector);
  CountBytes(state, kClientMasks * kClientBytes);
}
BENCHMARK(BM_Mask)
    ->Arg(static_cast<int>(MaskKernel::kPortable))
    ->Arg(static_cast<int>(MaskKernel::kAesNi))
    ->Arg(static_cast<int>(MaskKernel::kVaes))
    ->Unit(benchmark::kMillisecond);

template <typename Work>
double Seconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Both in turn, several times; the best of each, because what else runs on the machine only adds.
template <typename Work, typename Floor>
double Ratio(int repetitions, const Work& work, const Floor& floor) {
  double best_work = 1e9, best_floor = 1e9;
  for (int i = 0; i < repetitions; ++i) {
    best_floor = std::min(best_floor, Seconds(floor));
    best_work = std::min(best_work, Seconds(work));
  }
  return best_work / best_floor;
}

double MaskOverKeystream(MaskKernel kernel) {
  const MaskSet masks = Masks(kClientMasks, kernel);
  std::vector<uint8_t> vector(kClientBytes);
  return Ratio(
      9, [&] { masks.Apply(0, vector); }, [] { Keystream(kClientMasks * kClientBytes); });
}

double UnmaskOverKeystream(MaskKernel kernel) {
  const MaskSet masks = Masks(kServerMasks, kernel);
  std::vector<uint8_t> vector(kServerBytes);
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  // An eighth of the keystream, because all of it takes seconds.
  const double ratio = Ratio(
      7, [&] { muster::secagg::ApplyParallel(masks, vector, cores); },
      [] { Keystream(kServerMasks * kServerBytes / 8); });
  return ratio / 8 * cores;
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  const MaskKernel best = muster::secagg::BestKernel();
  std::printf("mask_over_keystream_portable %.3f\n", MaskOverKeystream(MaskKernel::kPortable));
  std::printf("mask_over_keystream %.3f\n", MaskOverKeystream(best));
  std::printf("unmask_over_keystream_portable %.3f\n", UnmaskOverKeystream(MaskKernel::kPortable));
  std::printf("unmask_over_keystream %.3f\n", UnmaskOverKeystream(best));
  return 0;
}
