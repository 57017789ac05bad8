// A coordinator without a network: the real driver, intake and task runner over the memory store
// and folders, with a clock that stands still. Devices are played by the tests.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/drive/dispatch.h"
#include "coordinator/drive/exchange.h"
#include "coordinator/drive/intake.h"
#include "coordinator/drive/jobs.h"
#include "coordinator/drive/offers.h"
#include "coordinator/drive/secagg_session.h"
#include "coordinator/drive/tasks.h"
#include "coordinator/drive/vector_blob.h"
#include "coordinator/store/memory/memory_store.h"
#include "models/zoo/zoo.h"
#include "tests/support/test_notary.h"

namespace muster {

class SmallCoordinator : public testing::Test {
 protected:
  SmallCoordinator() { wakeups_.Start(); }
  void SetUp() override {
    std::string pattern = testing::TempDir() + "muster-drive-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    store_ = MakeMemoryStore();
    blobs_ = OpenDirectoryBlobs(folder_ / "blobs").value();
    staging_ = StagingArea::Open(folder_ / "staging").value();
    ASSERT_TRUE(PackageSigner::Create(folder_ / "key.pem").ok());
    signer_.emplace(PackageSigner::Open(folder_ / "key.pem").value());
    StartCoordinator();
  }
  void TearDown() override {
    exchange_.reset();
    intake_.reset();
    std::filesystem::remove_all(folder_);
  }

  // As after kill -9 of the whole coordinator: what is left is the store, blobs and uploads.
  void RestartCoordinator() {
    exchange_.reset();
    intake_.reset();
    tasks_.reset();
    dispatcher_.reset();
    context_.reset();
    StartCoordinator();
  }
  void StartCoordinator() {
    rosters_.emplace();
    context_.emplace(DriveContext{*store_, *blobs_, *staging_, clock_, random_, *signer_, notary_,
                                  *rosters_, wakeups_, DriveOptions{}});
    dispatcher_.emplace(*context_);
    intake_.emplace(*context_);
    intake_->Start();
    exchange_.emplace(*context_, *intake_);
    tasks_.emplace(*context_, *dispatcher_);
  }

  // As after kill -9: whatever was in memory is gone.
  void RestartIntake() {
    intake_.reset();
    intake_.emplace(*context_);
    intake_->Start();
    exchange_.emplace(*context_, *intake_);
  }

  DeviceId AddDevice(const std::string& name, const Labels& labels = {}) {
    const DeviceId id = DeviceId::Trusted(name);
    EXPECT_TRUE(store_
                    ->Write([&](StoreTx& tx) {
                      return tx.PutDevice({.id = id, .labels = labels, .enrolled = clock_.Now()});
                    })
                    .ok());
    return id;
  }

  static CheckIn Ready() {
    return {.eligibility = {true, true, true, true, true, 100}, .agent_version = "test"};
  }
  CheckInAnswer Arrive(const DeviceId& device) {
    auto answer = dispatcher_->CheckIn(device, Ready());
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(CheckInAnswer{});
  }

  JobSpec Spec(uint32_t clients, uint32_t rounds = 1, uint32_t quorum = 1) {
    JobSpec spec;
    spec.name = ModelName::Trusted("m");
    spec.architecture = MakeZooArchitecture("logreg", {.input_shape = {4}, .outputs = 2}).value();
    spec.layout = LayoutOf(spec.architecture).value();
    const auto weights = InitialWeights(spec.architecture, spec.layout, 1).value();
    spec.initial_weights = WriteVector(*blobs_, weights).value();
    spec.rounds = rounds;
    spec.aggregation.mode = AggregationMode::kClear;
    spec.aggregation.mode = AggregationMode::kClear;
    spec.round.clients = clients;
    spec.round.quorum = quorum;
    spec.round.deadline = std::chrono::minutes(1);
    return spec;
  }
  JobId Submit(const JobSpec& spec) {
    auto job = SubmitJob(*context_, spec, "researcher/test", "researcher-test", "");
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? job->id : JobId();
  }

  Digest Stage(const DeviceId& device, const std::vector<float>& update) {
    const std::string_view bytes(reinterpret_cast<const char*>(update.data()),
                                 update.size() * sizeof(float));
    const Digest digest = Sha256(bytes);
    const std::string owner = StagingOwner("device", device.value());
    if (staging_->Stat(owner, digest)->complete) return digest;  // as a device asks first
    EXPECT_TRUE(staging_->Append(owner, digest, bytes.size(), 0, bytes).ok());
    EXPECT_TRUE(staging_->Flush(owner, digest).ok());
    return digest;
  }
  absl::StatusOr<OfferAnswer> Offer(const DeviceId& device, const InvocationId& invocation,
                                    const Digest& update, uint64_t examples = 10) {
    std::promise<absl::StatusOr<OfferAnswer>> promise;
    intake_->Offer(
        device,
        {.invocation = invocation,
         .update = update,
         .examples = examples,
         .metrics = {{"train_loss", 0.5}}},
        [&](absl::StatusOr<OfferAnswer> answer) { promise.set_value(std::move(answer)); });
    return promise.get_future().get();
  }
  // The whole of a device's part in a round, with an update that depends on its name alone.
  Verdict TrainOnce(const DeviceId& device, const JobSpec& spec) {
    const CheckInAnswer answer = Arrive(device);
    if (answer.invocations.empty()) return Verdict::kRefused;
    SeededRandom random(DeriveSeed(answer.invocations[0].round, device.value()));
    std::vector<float> update(spec.layout.shared_size());
    for (float& value : update) value = static_cast<float>(random.Unit() - 0.5);
    auto verdict =
        Offer(device, answer.invocations[0].id, Stage(device, update), 5 + random.Below(20));
    EXPECT_TRUE(verdict.ok()) << verdict.status();
    if (!verdict.ok()) return Verdict::kRefused;
    EXPECT_EQ(verdict->reason, "");
    return verdict->verdict;
  }

  void RunTasks() {
    while (true) {
      auto done = tasks_->RunDue();
      ASSERT_TRUE(done.ok()) << done.status();
      if (*done == 0) return;
    }
  }

  JobRecord Job(const JobId& id) {
    JobRecord job;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      job = reader.FindJob(id).value();
                      return absl::OkStatus();
                    })
                    .ok());
    return job;
  }
  RoundRecord Round(const JobId& job, uint32_t number, uint32_t attempt = 1) {
    RoundRecord round;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      round = reader.FindRound({job, number, attempt}).value();
                      return absl::OkStatus();
                    })
                    .ok());
    return round;
  }
  Digest Weights(uint32_t version) {
    Digest weights;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      weights = reader.FindModel({ModelName::Trusted("m"), version})->weights;
                      return absl::OkStatus();
                    })
                    .ok());
    return weights;
  }

  std::filesystem::path folder_;
  ManualClock clock_;
  SeededRandom random_{42};
  TestNotary notary_;
  std::optional<SecAggRosters> rosters_;
  WakeUps wakeups_;
  std::unique_ptr<StateStore> store_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<StagingArea> staging_;
  std::optional<PackageSigner> signer_;
  std::optional<DriveContext> context_;
  std::optional<Dispatcher> dispatcher_;
  std::optional<UpdateIntake> intake_;
  std::optional<SecureExchange> exchange_;
  std::optional<TaskRunner> tasks_;
};

}  // namespace muster
