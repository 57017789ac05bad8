// After any history, garbage collection removes no blob that something refers to, and in the end
// nothing else stays. Histories are made of what a coordinator does: blobs long before and just
// before their commit, versions, rounds, promotions, roll-backs, jobs that end, blobs that are put
// again, and collections with other policies at any moment. The folder of blobs and the store are
// the real ones; a blob's age is set to the history's own clock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/drive/transitions.h"
#include "coordinator/store/memory/memory_store.h"
#include "coordinator/upkeep/garbage.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

// Written, and waiting for the commit that refers to it.
struct Prepared {
  ModelRecord model;
  Timestamp since;
};

class History {
 public:
  explicit History(uint64_t seed) : random_(seed) {
    blobs_ = OpenDirectoryBlobs(folder_.path() / "blobs").value();
    staging_ = StagingArea::Open(folder_.path() / "staging").value();
    EXPECT_TRUE(PackageSigner::Create(folder_.path() / "key.pem").ok());
    signer_.emplace(PackageSigner::Open(folder_.path() / "key.pem").value());
    verifier_.emplace(PackageVerifier::FromPublicKeyPem(signer_->public_key_pem()).value());
  }

  void Step() {
    clock_.Advance(minutes(random_.Below(300)));
    switch (random_.Below(9)) {
      case 0:
        return SubmitJob();
      case 1:
        PutBytes(RandomContent());  // an orphan: its writer died
        return;
      case 2:
      case 3:
        return PrepareVersion();
      case 4:
        return CommitVersion();
      case 5:
        return Promote();
      case 6:
        return RollBack();
      case 7:
        return EndJob();
      default:
        return Collect(random_.Below(4));
    }
  }

  void Collect(uint64_t keep_versions) {
    const GarbagePolicy policy{.keep_versions = static_cast<uint32_t>(keep_versions),
                               .keep_history = hours(random_.Below(3) * 100),
                               .grace = hours(24)};
    DropStale();
    const std::set<Digest> before = Referenced();
    const auto found = FindGarbage(Context(), policy, clock_.Now());
    ASSERT_TRUE(found.ok()) << found.status();
    ExpectAllThere(before, "a dry run");
    const auto report = CollectGarbage(Context(), policy, clock_.Now());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(found->versions, report->versions);
    EXPECT_EQ(found->blobs, report->blobs) << "a dry run says what happens";
    EXPECT_EQ(found->blob_bytes, report->blob_bytes);
    SetAges();
    ExpectAllThere(Referenced(), "a collection");
    for (const Prepared& prepared : prepared_) {
      for (const Digest& digest : BlobsOf(prepared.model)) {
        EXPECT_TRUE(blobs_->Has(digest).value()) << "written before its commit";
      }
    }
    ExpectPromotedThere();
  }

  // No commit comes any more: after two collections, a grace period apart, nothing is left that
  // nothing refers to.
  void ExpectNoGarbageInTheEnd() {
    prepared_.clear();
    for (int i = 0; i < 2; ++i) {
      clock_.Advance(hours(25));
      Collect(1);
    }
    clock_.Advance(hours(25));
    Collect(1);
    const std::set<Digest> used = Referenced();
    EXPECT_TRUE(blobs_
                    ->List([&](const BlobInfo& blob) {
                      EXPECT_TRUE(used.contains(blob.digest)) << blob.digest.hex();
                      return absl::OkStatus();
                    })
                    .ok());
  }

 private:
  GarbageContext Context() {
    return {.store = *store_,
            .blobs = *blobs_,
            .staging = staging_.get(),
            .verifier = *verifier_,
            .audit_writer = "test",
            .actor = "test"};
  }

  std::string RandomContent() { return StrCat("content ", random_.Below(40)); }

  Digest PutBytes(const std::string& bytes) {
    const Digest digest = PutBlob(*blobs_, bytes).value();
    ages_[digest] = clock_.Now();
    SetAges();
    return digest;
  }

  // The history's clock stands apart from the machine's. What the collection touched is young.
  void SetAges() {
    EXPECT_TRUE(blobs_
                    ->List([&](const BlobInfo& blob) {
                      auto& [seen, at] = marks_[blob.digest];
                      const auto age = ages_.find(blob.digest);
                      if (age != ages_.end()) {
                        at = age->second;
                      } else if (blob.modified != seen) {
                        at = clock_.Now();  // touched by the collection
                      }
                      const std::string hex = blob.digest.hex();
                      std::filesystem::last_write_time(
                          folder_.path() / "blobs" / hex.substr(0, 2) / hex,
                          std::chrono::file_clock::from_sys(
                              std::chrono::sys_time<Duration>(Duration(at.unix_us))));
                      seen = at;
                      return absl::OkStatus();
                    })
                    .ok());
    ages_.clear();
  }

  Digest PutPackage(const std::string& name, const Digest& manifest, const Digest& weights) {
    const Package package{
        .name = name,
        .resources = {{kManifestResource, manifest, 1}, {kWeightsResource, weights, 1}}};
    return PutBytes(signer_->Sign(package).value());
  }

  void Write(const std::function<absl::Status(StoreTx&)>& work) {
    const absl::Status status = store_->Write(work);
    EXPECT_TRUE(status.ok()) << status;
  }

  void SubmitJob() {
    const uint64_t number = ++jobs_;
    JobRecord job{.id = JobId::Trusted(StrCat("j", number)), .state = JobRunning{1, 1, 0}};
    job.spec.name = ModelName::Trusted(StrCat("m", number % 2));
    job.spec.initial_weights = PutBytes(RandomContent());
    job.initial_package =
        PutPackage("p", PutBytes(StrCat("manifest of job ", number)), job.spec.initial_weights);
    RoundRecord round{.id = {job.id, 1, 1}, .base_package = job.initial_package};
    round.state = Collecting{.opened = clock_.Now(), .closes = clock_.Now() + minutes(5)};
    round.base_weights = job.spec.initial_weights;
    Write([&](StoreTx& tx) -> absl::Status {
      MUSTER_RETURN_IF_ERROR(tx.PutJob(job));
      return tx.PutRound(round);
    });
    open_.push_back(job.id);
  }

  void PrepareVersion() {
    if (open_.empty()) return;
    const JobId job = open_[random_.Below(open_.size())];
    Prepared prepared{.since = clock_.Now()};
    ModelRecord& model = prepared.model;
    model.lineage.job = job;
    model.weights = PutBytes(RandomContent());
    model.manifest = PutBytes(StrCat("manifest ", ++manifests_));
    if (random_.Below(2) == 0) model.optimizer_state = PutBytes(StrCat("state ", manifests_));
    model.package = PutPackage("p", model.manifest, model.weights);
    prepared_.push_back(std::move(prepared));
  }

  // A commit takes far less than the grace period.
  void DropStale() {
    std::erase_if(prepared_, [&](const Prepared& p) { return clock_.Now() - p.since > hours(12); });
  }

  void CommitVersion() {
    DropStale();
    if (prepared_.empty()) return;
    ModelRecord model = std::move(prepared_.back().model);
    prepared_.pop_back();
    if (std::find(open_.begin(), open_.end(), model.lineage.job) == open_.end()) return;
    Write([&](StoreTx& tx) -> absl::Status {
      MUSTER_ASSIGN_OR_RETURN(JobRecord job, tx.FindJob(model.lineage.job));
      model.id = {job.spec.name, ++versions_[job.spec.name.value()]};
      MUSTER_RETURN_IF_ERROR(tx.PutModel(model));
      job.state = JobRunning{1, 1, model.id.version};
      return tx.PutJob(job);
    });
    committed_.push_back(model.id);
  }

  void Promote() {
    if (committed_.empty()) return;
    const ModelVersion id = committed_[random_.Below(committed_.size())];
    Write([&](StoreTx& tx) -> absl::Status {
      const auto model = tx.FindModel(id);
      if (!model.ok()) return absl::OkStatus();  // it was not kept
      PromotionRecord promotion{.id = PromotionId::Trusted(StrCat("p", ++promotions_))};
      promotion.model = id;
      promotion.package = model->package;
      return tx.PutPromotion(promotion);
    });
  }

  void RollBack() {
    Write([&](StoreTx& tx) -> absl::Status {
      MUSTER_ASSIGN_OR_RETURN(auto all, tx.ListPromotions(""));
      if (all.empty()) return absl::OkStatus();
      PromotionRecord promotion = all[random_.Below(all.size())];
      promotion.phase = PromotionPhase::kRolledBack;
      return tx.PutPromotion(promotion);
    });
  }

  void EndJob() {
    if (open_.empty()) return;
    const size_t at = random_.Below(open_.size());
    Write([&](StoreTx& tx) -> absl::Status {
      MUSTER_ASSIGN_OR_RETURN(JobRecord job, tx.FindJob(open_[at]));
      job.state = JobSucceeded{LatestVersion(job.state), clock_.Now()};
      MUSTER_RETURN_IF_ERROR(tx.PutJob(job));
      MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound({job.id, 1, 1}));
      round.state = Abandoned{.closed = clock_.Now(), .reason = "the job ended"};
      return tx.PutRound(round);
    });
    open_.erase(open_.begin() + static_cast<ptrdiff_t>(at));
  }

  static std::set<Digest> BlobsOf(const ModelRecord& model) {
    std::set<Digest> blobs = {model.package, model.weights, model.manifest, model.optimizer_state};
    blobs.erase(Digest());
    return blobs;
  }

  // What the store refers to, found by other means than the code under test.
  std::set<Digest> Referenced() {
    std::set<Digest> used;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      const auto models = reader.ListModels("", {.limit = 100'000}).value();
                      for (const ModelRecord& model : models) used.merge(BlobsOf(model));
                      for (const JobId& id : open_) {
                        const JobRecord job = reader.FindJob(id).value();
                        used.insert({job.initial_package, job.spec.initial_weights});
                        const auto bytes = GetBlob(*blobs_, job.initial_package, kMaxPackageBytes);
                        EXPECT_TRUE(bytes.ok()) << bytes.status();
                        if (!bytes.ok()) continue;
                        const Package package = verifier_->Verify(*bytes).value();
                        for (const Resource& r : package.resources) used.insert(r.digest);
                      }
                      return absl::OkStatus();
                    })
                    .ok());
    return used;
  }

  void ExpectAllThere(const std::set<Digest>& used, std::string_view after) {
    for (const Digest& digest : used) {
      EXPECT_TRUE(blobs_->Has(digest).value()) << digest.hex() << " is missing after " << after;
    }
  }

  void ExpectPromotedThere() {
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      const auto promotions = reader.ListPromotions("").value();
                      for (const auto& promotion : promotions) {
                        if (promotion.phase == PromotionPhase::kRolledBack) continue;
                        const auto model = reader.FindModel(promotion.model);
                        EXPECT_TRUE(model.ok()) << model.status();
                        EXPECT_TRUE(blobs_->Has(promotion.package).value());
                      }
                      return absl::OkStatus();
                    })
                    .ok());
  }

  TempFolder folder_;
  SeededRandom random_;
  ManualClock clock_;
  std::unique_ptr<StateStore> store_ = MakeMemoryStore();
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<StagingArea> staging_;
  std::optional<PackageSigner> signer_;
  std::optional<PackageVerifier> verifier_;
  uint64_t jobs_ = 0, manifests_ = 0, promotions_ = 0;
  std::vector<JobId> open_;
  std::vector<Prepared> prepared_;
  std::vector<ModelVersion> committed_;
  std::map<std::string, uint32_t> versions_;
  std::map<Digest, Timestamp> ages_;  // written since the ages were set last
  std::map<Digest, std::pair<Timestamp, Timestamp>> marks_;
};

TEST(GarbageProperty, NothingThatIsReferredToIsRemovedAndNothingElseStays) {
  for (uint64_t seed = 1; seed <= 16; ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    History history(seed);
    for (int step = 0; step < 120; ++step) history.Step();
    history.ExpectNoGarbageInTheEnd();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace muster
