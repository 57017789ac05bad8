#include "tests/sim/history.h"

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/drive/jobs.h"
#include "coordinator/store/memory/memory_store.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "tests/sim/gremlins.h"
#include "tests/sim/openssl_dice.h"
#include "tests/sim/scene.h"

namespace muster::sim {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// A folder in memory where there is one, gone with the process's normal end.
class Folder {
 public:
  Folder() {
    const bool shm = std::filesystem::is_directory("/dev/shm");
    std::string pattern =
        ((shm ? "/dev/shm" : std::filesystem::temp_directory_path()) / "muster-sim-XXXXXX")
            .string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// One key for all histories: where it comes from must not depend on which seed is played first.
const PackageSigner& Signer() {
  static const PackageSigner signer = [] {
    SeedOpenSsl(0);
    const Folder folder;
    if (!PackageSigner::Create(folder.path() / "key.pem").ok()) abort();
    return PackageSigner::Open(folder.path() / "key.pem").value();
  }();
  return signer;
}

class History {
 public:
  explicit History(const HistoryOptions& options);
  HistoryResult Run();

 private:
  void OpenStore();
  void Enrol();
  void Submit(const JobSpec& spec, const std::string& key);
  void PlayJob(const std::string& key, Duration chaos);
  void Heal();
  bool IsQuiet() const;
  void WatchOver();

  const HistoryOptions options_;
  Trace trace_;
  World world_;
  Dice dice_;
  const Scene scene_;
  const Faults drawn_;
  Faults faults_;
  Promises promises_;
  std::unique_ptr<Folder> folder_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<StagingArea> staging_;
  std::unique_ptr<WatchedStore> watched_;
  std::unique_ptr<PlantedStore> planted_;
  std::unique_ptr<Durable> durable_;
  std::vector<std::unique_ptr<Replica>> replicas_;
  std::unique_ptr<Network> network_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::unique_ptr<Gremlins> gremlins_;
  bool submitted_ = false, quiet_ = false;
};

History::History(const HistoryOptions& options)
    : options_(options),
      trace_(options.trace),
      world_(options.seed, trace_),
      dice_(options.seed, "scene"),
      scene_(Scene::Draw(options.seed, dice_)),
      drawn_(Faults::Draw(dice_)),
      promises_(world_) {
  OpenStore();
  durable_ = std::make_unique<Durable>(
      Durable{*planted_, *watched_, *blobs_, *staging_, Signer(), promises_, scene_.devices});
  SeedOpenSsl(options.seed);
  for (size_t i = 0; i < scene_.replicas; ++i) {
    DriveOptions drive = scene_.options;
    drive.replica = StrCat("r", i);
    replicas_.push_back(
        std::make_unique<Replica>(world_, faults_, *durable_, drive.replica, drive));
  }
  network_ = std::make_unique<Network>(world_, faults_, replicas_);
  const Device::Surroundings around{world_, *network_, faults_, promises_, scene_.names};
  for (size_t i = 0; i < scene_.devices; ++i) {
    devices_.push_back(std::make_unique<Device>(around, i, scene_.lies[i]));
  }
  gremlins_ = std::make_unique<Gremlins>(
      Gremlins::Victims{world_, faults_, *network_, *staging_, replicas_, devices_});
}

void History::OpenStore() {
  std::shared_ptr<StateStore> store;
  if (scene_.sqlite) {
    folder_ = std::make_unique<Folder>();
    store = OpenSqliteStore({.directory = folder_->path()}).value();
    blobs_ = OpenDirectoryBlobs(folder_->path() / "blobs").value();
    staging_ = StagingArea::Open(folder_->path() / "staging").value();
  } else {
    store = MakeMemoryStore();
    blobs_ = std::make_unique<MemoryBlobs>(world_);
    staging_ = std::make_unique<MemoryStaging>();
  }
  watched_ = std::make_unique<WatchedStore>(
      store, [this](const Notes& notes, const StateStore& s) { promises_.OnCommit(notes, s); });
  planted_ = std::make_unique<PlantedStore>(*watched_, world_, options_.plant);
}

void History::Enrol() {
  for (const std::string& name : scene_.names) {
    const absl::Status stored = watched_->Write([&](StoreTx& tx) {
      return tx.PutDevice({.id = DeviceId::Trusted(name), .enrolled = world_.now()});
    });
    if (!stored.ok()) world_.Fail(std::string(stored.message()));
  }
}

// A researcher submits until it is told that the job is there.
void History::Submit(const JobSpec& spec, const std::string& key) {
  const auto life = replicas_[world_.dice().Below(replicas_.size())]->life();
  if (life != nullptr) {
    const auto job = SubmitJob(life->context(), spec, "researcher/sim", "researcher-sim", key);
    if (absl::IsInvalidArgument(job.status())) world_.Fail(std::string(job.status().message()));
    if (job.ok() && !life->dead()) {
      world_.Say("sim", StrCat(key, " is ", job->id.value()));
      submitted_ = true;
      return;
    }
  }
  world_.After(seconds(1), [this, spec, key] { Submit(spec, key); });
}

bool History::IsQuiet() const {
  bool quiet = submitted_;
  watched_
      ->Read([&](const StoreReader& reader) -> absl::Status {
        MUSTER_ASSIGN_OR_RETURN(const auto jobs, reader.ListJobs({}));
        for (const JobRecord& job : jobs) quiet = quiet && IsTerminal(job.state);
        MUSTER_ASSIGN_OR_RETURN(const auto due, reader.NextTaskDue());
        quiet = quiet && !due;
        return absl::OkStatus();
      })
      .IgnoreError();
  return quiet;
}

// Finds replicas that died by themselves, and the end.
void History::WatchOver() {
  for (auto& replica : replicas_) replica->life();
  quiet_ = IsQuiet();
  world_.After(seconds(1), [this] { WatchOver(); });
}

void History::Heal() {
  world_.Say("sim", "everything heals");
  faults_ = Faults{};
  network_->Join();
  for (auto& replica : replicas_) {
    if (const auto life = replica->life()) life->reach.Mend();
    replica->clock.Correct();
  }
  for (auto& device : devices_) {
    device->clock.Correct();
    if (!scene_.months || !device->away()) device->Start();
  }
}

void History::PlayJob(const std::string& key, Duration chaos) {
  const JobSpec spec = DrawJob(scene_, DeriveSeed(options_.seed, key), dice_, *blobs_);
  world_.Say("sim",
             StrCat(key, ": ", AggregationModeName(spec.aggregation.mode), ", ", spec.round.clients,
                    " clients, quorum ", spec.round.quorum, ", ", spec.rounds, " rounds"));
  submitted_ = quiet_ = false;
  faults_ = drawn_;
  world_.After(dice_.Between(Duration(1), seconds(10)), [this, spec, key] { Submit(spec, key); });
  gremlins_->Release();
  const auto done = [this] { return quiet_; };
  world_.RunUntil(world_.now() + chaos, done);
  Heal();
  world_.RunUntil(world_.now() + LongestEnd(spec) + drawn_.jump_most, done);
  if (!done() && !world_.failed()) world_.Fail(StrCat(key, " does not come to its end"));
}

HistoryResult History::Run() {
  world_.Say("sim", StrCat("seed ", options_.seed, ": ", scene_.devices, " devices, ",
                           scene_.replicas, " replicas", scene_.sqlite ? ", sqlite" : "",
                           scene_.months ? ", months" : "", "; ", drawn_.ToString()));
  Enrol();
  for (auto& replica : replicas_) replica->Start();
  for (auto& device : devices_) {
    world_.After(dice_.Between(Duration(1), seconds(20)), [&device] {
      if (!device->away()) device->Start();
    });
  }
  world_.After(seconds(1), [this] { WatchOver(); });
  PlayJob("job-1", dice_.Between(seconds(30), minutes(10)));
  if (scene_.months && !world_.failed()) {
    for (auto& replica : replicas_) replica->Stop();
    world_.Skip(hours(24) * (1 + static_cast<int64_t>(dice_.Below(90))));
    for (auto& replica : replicas_) replica->Start();
    for (auto& device : devices_) device->Start();
    world_.RunUntil(world_.now() + minutes(2), [] { return false; });
    PlayJob("job-2", dice_.Between(seconds(30), minutes(3)));
  }
  if (!world_.failed()) promises_.CheckEnd(*watched_, *blobs_);
  for (auto& replica : replicas_) replica->Stop();
  return {.seed = options_.seed,
          .hash = trace_.Finish(),
          .lines = trace_.lines(),
          .failure = world_.failure(),
          .events = world_.events(),
          .totals = promises_.totals()};
}

}  // namespace

HistoryResult Play(const HistoryOptions& options) {
  Signer();
  return History(options).Run();
}

}  // namespace muster::sim
