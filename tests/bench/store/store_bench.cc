// Durable writes per second over each store that is durable, and how long opening takes. Prints at
// its end, for SQLite and with the prefix postgres_ for PostgreSQL,
//   group_commit_speedup RATIO            64 writers against one
//   group_commit_speedup_same_disk RATIO  the same, had a commit taken equally long in both
//   ungrouped_speedup RATIO               64 writers without grouping against one
//   store_open_ms MILLISECONDS
// and
//   postgres_second_writer_speedup RATIO  64 writers over two connections against one
// Each write replaces one device's row and is acknowledged after the commit that holds it is on the
// disk. Look at commit_ms before quoting the first ratio: some machines, virtual ones above all,
// answer a busy process's sync many times sooner than a sleeping one's, and that is no merit of
// grouping. The second ratio takes it out; it is near writes_per_commit. BENCH_STORE_DIR names the
// folder to work in; by default the current one, because /tmp may be memory. PostgreSQL is a server
// of our own over a Unix socket, in TMPDIR.
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

#include "coordinator/store/postgres/postgres_store.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "proto/core/strings.h"
#include "tests/support/postgres_server.h"

namespace {

using muster::DeviceId;
using muster::DeviceRecord;
using muster::StateStore;
using muster::StoreTx;
using Seconds = std::chrono::duration<double>;

constexpr int kManyWriters = 64;
constexpr auto kMeasured = std::chrono::seconds(2);
constexpr int kOpenings = 9;

struct How {
  size_t group = muster::kMaxCommitGroup;
  size_t connections = 1;  // that write
};

std::unique_ptr<StateStore> Opened(absl::StatusOr<std::unique_ptr<StateStore>> store) {
  if (store.ok()) return *std::move(store);
  std::fprintf(stderr, "%s\n", store.status().ToString().c_str());
  std::abort();
}

// An empty store, gone with this.
class ScratchStore {
 public:
  virtual ~ScratchStore() = default;
  virtual std::unique_ptr<StateStore> Open(const How& how) const = 0;
};

class ScratchSqlite final : public ScratchStore {
 public:
  ScratchSqlite() {
    const char* base = ::getenv("BENCH_STORE_DIR");
    std::string name = muster::StrCat(base == nullptr ? "." : base, "/store-bench-XXXXXX");
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
  }
  ~ScratchSqlite() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<StateStore> Open(const How& how) const override {
    return Opened(muster::OpenSqliteStore({.directory = folder_, .commit_group = how.group}));
  }

 private:
  std::filesystem::path folder_;
};

class ScratchPostgres final : public ScratchStore {
 public:
  std::unique_ptr<StateStore> Open(const How& how) const override {
    return Opened(muster::OpenPostgresStore(
        {.url = url_,
         .write_connections = how.connections,
         .commit_group = std::min(how.group, muster::kMaxPostgresCommitGroup)}));
  }

 private:
  const std::string url_ = muster::SharedPostgres().FreshUrl();
};

using MakeScratch = std::unique_ptr<ScratchStore> (*)();
template <typename Scratch>
std::unique_ptr<ScratchStore> Make() {
  return std::make_unique<Scratch>();
}

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
  std::string name;
  MakeScratch scratch;
  int writers;
  How how;
  double writes_per_second = 0;
  double commit_ms = 0;
};

void Measure(benchmark::State& state, Setting* setting) {
  for (auto _ : state) {
    const std::unique_ptr<ScratchStore> scratch = setting->scratch();
    const std::unique_ptr<StateStore> store = scratch->Open(setting->how);
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

double MedianOpenMilliseconds(MakeScratch make) {
  const std::unique_ptr<ScratchStore> scratch = make();
  scratch->Open({});
  std::vector<double> times;
  for (int i = 0; i < kOpenings; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto store = scratch->Open({});
    times.push_back(Seconds(std::chrono::steady_clock::now() - start).count() * 1e3);
  }
  std::nth_element(times.begin(), times.begin() + kOpenings / 2, times.end());
  return times[kOpenings / 2];
}

// What is compared within one store.
struct Comparison {
  std::string prefix;  // of the figures
  MakeScratch scratch;
  Setting one, many, ungrouped;

  Comparison(const std::string& figures, const std::string& name, MakeScratch make)
      : prefix(figures),
        scratch(make),
        one{name + "/OneWriter", make, 1, {}},
        many{name + "/ManyWriters", make, kManyWriters, {}},
        ungrouped{name + "/ManyWritersUngrouped", make, kManyWriters, {.group = 1}} {}

  void Print() const {
    const char* p = prefix.c_str();
    if (one.writes_per_second > 0 && many.writes_per_second > 0) {
      const double speedup = many.writes_per_second / one.writes_per_second;
      std::printf("%sgroup_commit_speedup %.2f\n", p, speedup);
      std::printf("%sgroup_commit_speedup_same_disk %.2f\n", p,
                  speedup * many.commit_ms / one.commit_ms);
    }
    if (one.writes_per_second > 0 && ungrouped.writes_per_second > 0) {
      std::printf("%sungrouped_speedup %.2f\n", p,
                  ungrouped.writes_per_second / one.writes_per_second);
    }
    std::printf("%sstore_open_ms %.2f\n", p, MedianOpenMilliseconds(scratch));
  }
};

}  // namespace

int main(int argc, char** argv) {
  Comparison sqlite("", "Sqlite", Make<ScratchSqlite>);
  Comparison postgres("postgres_", "Postgres", Make<ScratchPostgres>);
  Setting two{"Postgres/ManyWritersTwoConnections",
              Make<ScratchPostgres>,
              kManyWriters,
              {.connections = 2}};
  for (Setting* setting : {&sqlite.one, &sqlite.ungrouped, &sqlite.many, &postgres.one,
                           &postgres.ungrouped, &postgres.many, &two}) {
    benchmark::RegisterBenchmark(setting->name.c_str(), Measure, setting)
        ->Iterations(1)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  sqlite.Print();
  postgres.Print();
  if (postgres.many.writes_per_second > 0 && two.writes_per_second > 0) {
    std::printf("postgres_second_writer_speedup %.2f\n",
                two.writes_per_second / postgres.many.writes_per_second);
  }
  return 0;
}
