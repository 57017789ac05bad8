// Durable writes per second, and how long opening takes. Prints at its end
//   group_commit_speedup RATIO            64 writers against one
//   group_commit_speedup_same_disk RATIO  the same, had a commit taken equally long in both
//   ungrouped_speedup RATIO               64 writers without grouping against one
//   store_open_ms MILLISECONDS
// Each write replaces one device's row and is acknowledged after the commit that holds it is on the
// disk. Look at commit_ms before quoting the first ratio: some machines, virtual ones above all,
// answer a busy process's sync many times sooner than a sleeping one's, and that is no merit of
// grouping. The second ratio takes it out; it is near writes_per_commit. BENCH_STORE_DIR names the
// folder to work in; by default the current one, because /tmp may be memory.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "coordinator/store/sqlite/sqlite_store.h"
#include "proto/core/strings.h"

namespace {

using muster::DeviceId;
using muster::DeviceRecord;
using muster::StateStore;
using muster::StoreTx;
using Seconds = std::chrono::duration<double>;

constexpr int kManyWriters = 64;
constexpr auto kMeasured = std::chrono::seconds(2);
constexpr int kOpenings = 9;

class ScratchStore {
 public:
  ScratchStore() {
    const char* base = ::getenv("BENCH_STORE_DIR");
    std::string name = muster::StrCat(base == nullptr ? "." : base, "/store-bench-XXXXXX");
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
  }
  ~ScratchStore() { std::filesystem::remove_all(folder_); }
  std::unique_ptr<StateStore> Open(size_t group = muster::kMaxCommitGroup) const {
    auto store = muster::OpenSqliteStore({.directory = folder_, .commit_group = group});
    if (!store.ok()) {
      std::fprintf(stderr, "%s\n", store.status().ToString().c_str());
      std::abort();
    }
    return *std::move(store);
  }

 private:
  std::filesystem::path folder_;
};

// One writer: replaces its device's row until told to stop.
uint64_t WriteUntil(StateStore& store, int writer, const std::atomic<bool>& stop) {
  DeviceRecord device;
  device.id = DeviceId::Trusted(muster::StrCat("device-", writer));
  device.labels = {{"site", "a"}};
  uint64_t writes = 0;
  for (; !stop; ++writes) {
    const absl::Status status = store.Write([&](StoreTx& tx) { return tx.PutDevice(device); });
    if (!status.ok()) std::abort();
    ++device.row_version;
  }
  return writes;
}

struct Setting {
  const char* name;
  int writers;
  size_t group;
  double writes_per_second = 0;
  double commit_ms = 0;
};

void Measure(benchmark::State& state, Setting* setting) {
  for (auto _ : state) {
    ScratchStore scratch;
    const std::unique_ptr<StateStore> store = scratch.Open(setting->group);
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> writes{0};
    std::vector<std::thread> threads;
    const auto start = std::chrono::steady_clock::now();
    for (int writer = 0; writer < setting->writers; ++writer) {
      threads.emplace_back([&, writer] { writes += WriteUntil(*store, writer, stop); });
    }
    std::this_thread::sleep_for(kMeasured);
    stop = true;
    for (std::thread& thread : threads) thread.join();
    const Seconds elapsed = std::chrono::steady_clock::now() - start;
    const muster::StoreStats stats = store->Stats();
    const auto commits = static_cast<double>(stats.commits);
    setting->writes_per_second = static_cast<double>(writes) / elapsed.count();
    state.counters["writes_per_second"] = setting->writes_per_second;
    state.counters["writes_per_commit"] = static_cast<double>(stats.writes) / commits;
    setting->commit_ms = stats.commit_seconds * 1e3 / commits;
    state.counters["commit_ms"] = setting->commit_ms;
  }
}

double MedianOpenMilliseconds() {
  ScratchStore scratch;
  scratch.Open();
  std::vector<double> times;
  for (int i = 0; i < kOpenings; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto store = scratch.Open();
    times.push_back(Seconds(std::chrono::steady_clock::now() - start).count() * 1e3);
  }
  std::nth_element(times.begin(), times.begin() + kOpenings / 2, times.end());
  return times[kOpenings / 2];
}

}  // namespace

int main(int argc, char** argv) {
  Setting one{"OneWriter", 1, muster::kMaxCommitGroup};
  Setting many{"ManyWriters", kManyWriters, muster::kMaxCommitGroup};
  Setting ungrouped{"ManyWritersUngrouped", kManyWriters, 1};
  for (Setting* setting : {&one, &ungrouped, &many}) {
    benchmark::RegisterBenchmark(setting->name, Measure, setting)
        ->Iterations(1)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  if (one.writes_per_second > 0 && many.writes_per_second > 0) {
    const double speedup = many.writes_per_second / one.writes_per_second;
    std::printf("group_commit_speedup %.2f\n", speedup);
    std::printf("group_commit_speedup_same_disk %.2f\n", speedup * many.commit_ms / one.commit_ms);
  }
  if (one.writes_per_second > 0 && ungrouped.writes_per_second > 0) {
    std::printf("ungrouped_speedup %.2f\n", ungrouped.writes_per_second / one.writes_per_second);
  }
  std::printf("store_open_ms %.2f\n", MedianOpenMilliseconds());
  return 0;
}
