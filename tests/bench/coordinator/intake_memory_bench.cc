// Peak memory of the coordinator's intake: 200 updates of a 10 M-parameter model against 10. The
// real driver, SQLite, blob folder and staging area; each case in a process of its own, so that its
// peak is its own. Prints "intake_peak_memory RATIO" (target <= 1.2) and both peaks.
#include <benchmark/benchmark.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/drive/dispatch.h"
#include "coordinator/drive/intake.h"
#include "coordinator/drive/jobs.h"
#include "coordinator/drive/offers.h"
#include "coordinator/drive/secagg_session.h"
#include "coordinator/drive/vector_blob.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "models/zoo/zoo.h"
#include "proto/core/log.h"

namespace muster {
namespace {

constexpr uint32_t kFeatures = 1'000'000, kClasses = 10;  // logreg: 10 M weights and 10 biases
constexpr size_t kChunk = 1u << 20;
constexpr int kAtOnce = 10;  // updates that wait for the same commit

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  _exit(1);
}
void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  _exit(1);
}

// Devices sign nothing when they report in the clear.
class NoNotary final : public secagg::Notary {
 public:
  absl::Status Verify(const DeviceId&, std::string_view, std::string_view,
                      std::string_view) const override {
    return absl::UnauthenticatedError("nobody signs here");
  }
};

// An update whose values depend on the device, staged in chunks: never whole in memory.
Digest Stage(StagingArea& staging, const std::string& owner, uint64_t parameters, uint64_t device) {
  std::vector<float> chunk(kChunk / sizeof(float));
  const auto each = [&](const auto& consume) {
    SeededRandom random(device);
    for (uint64_t at = 0; at < parameters; at += chunk.size()) {
      const size_t count = std::min<uint64_t>(chunk.size(), parameters - at);
      const auto value = static_cast<float>(random.Unit() - 0.5);
      std::fill_n(chunk.begin(), count, value);
      consume(at * sizeof(float),
              std::string_view(reinterpret_cast<const char*>(chunk.data()), count * sizeof(float)));
    }
  };
  Sha256Hasher hasher;
  each([&](uint64_t, std::string_view bytes) { hasher.Update(bytes); });
  const Digest digest = hasher.Finish();
  each([&](uint64_t offset, std::string_view bytes) {
    Must(staging.Append(owner, digest, parameters * sizeof(float), offset, bytes));
  });
  Must(staging.Flush(owner, digest));
  return digest;
}

void TakeIn(int updates, const std::filesystem::path& folder) {
  SetLogLevel(LogLevel::kError);
  SystemClock clock;
  SeededRandom random(1);
  WakeUps wakeups;
  auto store = Must(OpenSqliteStore({.directory = folder}));
  auto blobs = Must(OpenDirectoryBlobs(folder / "blobs"));
  auto staging = Must(StagingArea::Open(folder / "staging"));
  Must(PackageSigner::Create(folder / "key.pem"));
  const PackageSigner signer = Must(PackageSigner::Open(folder / "key.pem"));
  const NoNotary notary;
  SecAggRosters rosters;
  DriveContext context{.store = *store,
                       .blobs = *blobs,
                       .staging = *staging,
                       .clock = clock,
                       .random = random,
                       .signer = signer,
                       .notary = notary,
                       .rosters = rosters,
                       .wakeups = wakeups,
                       .options = {}};
  Dispatcher dispatcher(context);
  UpdateIntake intake(context);
  intake.Start();

  JobSpec spec;
  spec.name = ModelName::Trusted("m");
  spec.architecture =
      Must(MakeZooArchitecture("logreg", {.input_shape = {kFeatures}, .outputs = kClasses}));
  spec.layout = Must(LayoutOf(spec.architecture));
  spec.initial_weights =
      Must(WriteVector(*blobs, std::vector<float>(spec.layout.total_size(), 0.0f)));
  spec.rounds = 1;
  spec.aggregation.mode = AggregationMode::kClear;
  spec.round.clients = static_cast<uint32_t>(updates) + 1;  // the round stays open
  spec.round.deadline = std::chrono::hours(1);
  Must(SubmitJob(context, spec, "researcher/bench", "researcher-bench", ""));

  for (int begin = 0; begin < updates; begin += kAtOnce) {
    std::vector<std::future<bool>> answers;
    for (int i = begin; i < std::min(updates, begin + kAtOnce); ++i) {
      const DeviceId device = DeviceId::Trusted("d-" + std::to_string(i));
      Must(store->Write([&](StoreTx& tx) { return tx.PutDevice({.id = device}); }));
      const CheckIn check_in{.eligibility = {true, true, true, true, true, 1}};
      const CheckInAnswer work = Must(dispatcher.CheckIn(device, check_in));
      const Digest update = Stage(*staging, StagingOwner("device", device.value()),
                                  spec.layout.shared_size(), static_cast<uint64_t>(i) + 1);
      auto done = std::make_shared<std::promise<bool>>();
      answers.push_back(done->get_future());
      intake.Offer(device,
                   {.invocation = work.invocations.at(0).id, .update = update, .examples = 100},
                   [done](absl::StatusOr<OfferAnswer> answer) {
                     done->set_value(answer.ok() && answer->verdict == Verdict::kAccepted);
                   });
    }
    for (auto& answer : answers) {
      if (!answer.get()) Must(absl::InternalError("an update was not accepted"));
    }
  }
}

// Peak resident bytes of a process that takes in so many updates.
double PeakBytes(int updates) {
  std::string folder = std::filesystem::temp_directory_path() / "muster-intake-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 0;
  const pid_t child = fork();
  if (child == 0) {
    TakeIn(updates, folder);
    _exit(0);
  }
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  std::filesystem::remove_all(folder);
  return status == 0 ? static_cast<double>(usage.ru_maxrss) * 1024 : 0;
}

void IntakePeakMemory(benchmark::State& state) {
  for (auto _ : state) {
    const double few = PeakBytes(10), many = PeakBytes(200);
    if (few == 0 || many == 0) {
      state.SkipWithError("a case failed: see above");
      return;
    }
    state.counters["peak_10_MB"] = few / 1e6;
    state.counters["peak_200_MB"] = many / 1e6;
    std::printf("intake_peak_memory %.3f\n", many / few);
  }
}
BENCHMARK(IntakePeakMemory)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace muster

BENCHMARK_MAIN();
