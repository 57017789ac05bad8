// What nobody else removes: uploads that were never offered, and sums that commits left behind
// about which nobody could say whether they took place.
#include "coordinator/upkeep/garbage.h"

#include <gmock/gmock.h>

#include "coordinator/drive/audit.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;
using ::testing::SizeIs;

// Tells its caller nothing of use about a commit, done or not.
class AmbiguousStore final : public StateStore {
 public:
  explicit AmbiguousStore(StateStore& store) : store_(store) {}
  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) override {
    if (lose_writes > 0) {
      --lose_writes;
      return Broken();
    }
    absl::Status status = store_.Write(work);
    if (lose_answers == 0 || !status.ok()) return status;
    --lose_answers;
    return Broken();
  }
  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override {
    return store_.Read(work);
  }
  StoreStats Stats() const override { return store_.Stats(); }

  int lose_writes = 0, lose_answers = 0;

 private:
  static absl::Status Broken() {
    return absl::UnknownError("the connection broke while the commit was on its way");
  }
  StateStore& store_;
};

class GarbageTest : public SmallCoordinator {
 protected:
  void SetUp() override {
    SmallCoordinator::SetUp();
    verifier_.emplace(PackageVerifier::FromPublicKeyPem(signer_->public_key_pem()).value());
  }
  GarbageContext Context(std::stop_token stop = {}) {
    return {.store = *store_,
            .blobs = *blobs_,
            .staging = &*staging_,
            .verifier = *verifier_,
            .audit_writer = "test",
            .actor = "test",
            .stop = std::move(stop)};
  }
  static void Age(const fs::path& folder, hours age) {
    for (const auto& file : fs::recursive_directory_iterator(folder)) {
      if (file.is_regular_file()) {
        fs::last_write_time(file.path(), fs::file_time_type::clock::now() - age);
      }
    }
  }
  GarbageReport Collect(const GarbagePolicy& policy = {}) {
    const Timestamp now = SystemClock().Now();
    const auto found = FindGarbage(Context(), policy, now);
    EXPECT_TRUE(found.ok()) << found.status();
    const auto done = CollectGarbage(Context(), policy, now);
    EXPECT_TRUE(done.ok()) << done.status();
    if (!found.ok() || !done.ok()) return {};
    EXPECT_EQ(*found, *done) << "a dry run says what happens";
    return *done;
  }
  size_t CountBlobs() {
    size_t count = 0;
    EXPECT_TRUE(blobs_
                    ->List([&](const BlobInfo&) {
                      ++count;
                      return absl::OkStatus();
                    })
                    .ok());
    return count;
  }
  std::vector<PartialSumRecord> Parts(const JobId& job) {
    std::vector<PartialSumRecord> parts;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) {
                      parts = reader.ListPartialSums({job, 1, 1}).value();
                      return absl::OkStatus();
                    })
                    .ok());
    return parts;
  }

  std::optional<PackageVerifier> verifier_;
};

TEST_F(GarbageTest, UploadsThatNobodyOfferedGoWhenTheyAreOldAndOthersStay) {
  const DeviceId gone = AddDevice("gone"), here = AddDevice("here");
  Stage(gone, {1, 2, 3});
  const std::string owner = StagingOwner("device", gone.value());
  const Digest half = Sha256("never finished");
  ASSERT_TRUE(staging_->Append(owner, half, 14, 0, "never").ok());
  ASSERT_TRUE(staging_->Flush(owner, half).ok());
  Age(folder_ / "staging", hours(24 * 9));
  const Digest young = Stage(here, {4, 5, 6});

  const GarbageReport report = Collect();
  EXPECT_EQ(report.uploads, 2u);
  EXPECT_EQ(report.upload_bytes, 3 * sizeof(float) + 5);
  EXPECT_FALSE(staging_->Stat(owner, half)->complete);
  EXPECT_EQ(staging_->Stat(owner, half)->offset, 0u);
  EXPECT_TRUE(staging_->Stat(StagingOwner("device", here.value()), young)->complete);
  EXPECT_EQ(Collect(), GarbageReport{}) << "nothing is left to do";
}

TEST_F(GarbageTest, SumsOfAmbiguousCommitsGoAndTheOneThatCountsStays) {
  const std::vector<DeviceId> devices = {AddDevice("a"), AddDevice("b"), AddDevice("c")};
  const JobSpec spec = Spec(3);
  const JobId job = Submit(spec);
  AmbiguousStore store(*store_);
  DriveContext shaky{store,    *blobs_, *staging_, clock_,   random_,
                     *signer_, notary_, *rosters_, wakeups_, DriveOptions{}};
  UpdateIntake intake(shaky);
  intake.Start();
  const auto offer = [&](const DeviceId& device, float first) {
    const Invocation work = Arrive(device).invocations.at(0);
    std::vector<float> update(spec.layout.shared_size(), 0.25f);
    update[0] = first;
    std::promise<absl::StatusOr<OfferAnswer>> promise;
    intake.Offer(device, {.invocation = work.id, .update = Stage(device, update), .examples = 10},
                 [&](absl::StatusOr<OfferAnswer> answer) { promise.set_value(std::move(answer)); });
    const auto answer = promise.get_future().get();
    EXPECT_TRUE(answer.ok()) << answer.status();
    EXPECT_NE(answer.value_or(OfferAnswer{}).verdict, Verdict::kRefused);
  };
  offer(devices[0], 1);
  const size_t clean = CountBlobs();
  store.lose_answers = 1;  // done: the sum of before stays behind
  offer(devices[1], 2);
  store.lose_writes = 1;  // not done: the sum that was for it stays behind
  offer(devices[2], 3);
  const size_t littered = CountBlobs();
  EXPECT_GT(littered, clean);

  EXPECT_EQ(Collect().blobs, 0u) << "they may be about to be referred to";
  Age(folder_ / "blobs", hours(25));
  EXPECT_EQ(Collect().blobs, littered - clean);
  EXPECT_EQ(CountBlobs(), clean);
  ASSERT_THAT(Parts(job), SizeIs(1));
  EXPECT_TRUE(blobs_->Has(Parts(job)[0].blob).value());
  RunTasks();
  EXPECT_TRUE(std::holds_alternative<Committed>(Round(job, 1).state));
}

TEST_F(GarbageTest, ARunThatIsToldToStopLeavesTheRestForTheNext) {
  for (const char* bytes : {"a", "b", "c"}) ASSERT_TRUE(PutBlob(*blobs_, bytes).ok());
  Age(folder_ / "blobs", hours(25));
  std::stop_source stop;
  stop.request_stop();
  const Timestamp now = SystemClock().Now();
  EXPECT_TRUE(absl::IsCancelled(CollectGarbage(Context(stop.get_token()), {}, now).status()));
  EXPECT_EQ(CountBlobs(), 3u);
  EXPECT_EQ(Collect().blobs, 3u);
}

// The row that says when: it outlives processes, and one of them does it.
class CollectionTest : public SmallCoordinator {
 protected:
  static constexpr Duration kEvery = hours(24);
  std::optional<Timestamp> Due() {
    std::optional<Timestamp> due;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      due = reader.NextTaskDue().value();
                      return absl::OkStatus();
                    })
                    .ok());
    return due;
  }
};

TEST_F(CollectionTest, FallsDueAgainAndAgainHoweverOftenTheProcessEnds) {
  ASSERT_TRUE(tasks_->PlanCollections(kEvery).ok());
  const Timestamp first = clock_.Now() + kEvery;
  EXPECT_EQ(Due(), first);
  for (int i = 0; i < 5; ++i) {  // scaled to zero, and back for a moment
    clock_.Advance(kEvery / 5);
    RestartCoordinator();
    ASSERT_TRUE(tasks_->PlanCollections(kEvery).ok());
    if (i < 4) {
      RunTasks();
      EXPECT_FALSE(tasks_->TakeCollection());
    }
  }
  RunTasks();
  EXPECT_TRUE(tasks_->working()) << "nobody ends who has not begun";
  EXPECT_TRUE(tasks_->TakeCollection());
  EXPECT_FALSE(tasks_->TakeCollection()) << "once";
  EXPECT_FALSE(tasks_->working());
  EXPECT_EQ(Due(), clock_.Now() + kEvery);
}

TEST_F(CollectionTest, OneReplicaDoesIt) {
  TaskRunner other(*context_, *dispatcher_);
  ASSERT_TRUE(tasks_->PlanCollections(kEvery).ok());
  ASSERT_TRUE(other.PlanCollections(kEvery).ok());
  clock_.Advance(kEvery);
  RunTasks();
  EXPECT_EQ(other.RunDue().value(), 0u);
  EXPECT_TRUE(tasks_->TakeCollection());
  EXPECT_FALSE(other.TakeCollection());
}

TEST_F(CollectionTest, AShorterPaceCountsAtOnceAndZeroEndsIt) {
  ASSERT_TRUE(tasks_->PlanCollections(kEvery).ok());
  ASSERT_TRUE(tasks_->PlanCollections(hours(1)).ok());
  EXPECT_EQ(Due(), clock_.Now() + hours(1));
  ASSERT_TRUE(tasks_->PlanCollections(Duration::zero()).ok());
  clock_.Advance(hours(1));
  RunTasks();
  EXPECT_FALSE(tasks_->TakeCollection());
  EXPECT_EQ(Due(), std::nullopt);
}

}  // namespace
}  // namespace muster
