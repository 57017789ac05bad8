// Several replicas over one store and one set of blobs, and commits whose answer gets lost.
#include <gmock/gmock.h>

#include "aggregation/optimizer/server_optimizer.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

// Lets `broken` decide, after a write was done, what its caller is told.
class AmbiguousStore final : public StateStore {
 public:
  explicit AmbiguousStore(StateStore& store) : store_(store) {}
  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) override {
    absl::Status status = store_.Write(work);
    if (lose_answers > 0 && status.ok()) {
      --lose_answers;
      return absl::UnknownError("the connection broke while the commit was on its way");
    }
    return status;
  }
  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override {
    return store_.Read(work);
  }
  StoreStats Stats() const override { return store_.Stats(); }

  int lose_answers = 0;

 private:
  StateStore& store_;
};

// One of two processes over a store that carries hints between them.
class HintedStore final : public StateStore {
 public:
  explicit HintedStore(StateStore& store) : store_(store) {}
  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) override {
    return store_.Write(work);
  }
  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override {
    return store_.Read(work);
  }
  StoreStats Stats() const override { return store_.Stats(); }
  void Hint(const std::vector<std::string>& keys) override {
    for (const std::string& key : keys) {
      if (peer != nullptr && peer->callback_) peer->callback_(key);
    }
  }
  void OnHint(HintCallback callback) override { callback_ = std::move(callback); }

  HintedStore* peer = nullptr;

 private:
  StateStore& store_;
  HintCallback callback_;
};

class Replicas : public SmallCoordinator {
 protected:
  // What a second process over the same store would be.
  struct Replica {
    explicit Replica(const DriveContext& like, StateStore& store, const std::string& name)
        : context{store,       like.blobs,  like.staging, like.clock,   like.random,
                  like.signer, like.notary, like.rosters, like.wakeups, like.options} {
      context.options.replica = name;
      intake.emplace(context);
      intake->Start();
    }
    DriveContext context;
    std::optional<UpdateIntake> intake;
  };

  static absl::StatusOr<OfferAnswer> OfferTo(UpdateIntake& intake, const DeviceId& device,
                                             const Invocation& work, const Digest& update) {
    std::promise<absl::StatusOr<OfferAnswer>> promise;
    intake.Offer(device, {.invocation = work.id, .update = update, .examples = 10},
                 [&](absl::StatusOr<OfferAnswer> answer) { promise.set_value(std::move(answer)); });
    return promise.get_future().get();
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
  std::vector<float> Update(float first) const {
    std::vector<float> update(10, 0.25f);
    update[0] = first;
    return update;
  }
};

TEST_F(Replicas, TakeUpdatesOfOneRoundSideBySideAndTheSumHasThemAll) {
  const JobSpec spec = Spec(4);
  std::vector<DeviceId> devices;
  for (int i = 0; i < 4; ++i) devices.push_back(AddDevice("d" + std::to_string(i)));
  const JobId job = Submit(spec);
  Replica other(*context_, *store_, "other");
  for (size_t i = 0; i < devices.size(); ++i) {
    const Invocation work = Arrive(devices[i]).invocations.at(0);
    // The last two are equal, so that both replicas hold equal sums for a while.
    const Digest update = Stage(devices[i], Update(i < 2 ? 1.0f : 2.0f));
    auto answer = OfferTo(i % 2 == 0 ? *intake_ : *other.intake, devices[i], work, update);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->verdict, Verdict::kAccepted) << answer->reason;
  }
  EXPECT_EQ(Parts(job).size(), 2u);
  const Digest base = Round(job, 1).base_weights;
  RunTasks();
  EXPECT_TRUE(Parts(job).empty());

  const uint64_t size = spec.layout.total_size();
  std::vector<float> weights = ReadVector(*blobs_, base, size).value();
  std::vector<float> mean = Update(1.5f);
  OptimizerState state;
  ASSERT_TRUE(ApplyServerOptimizer(spec.server_optimizer, mean, weights, state).ok());
  EXPECT_EQ(ReadVector(*blobs_, Weights(1), size).value(), weights);
}

TEST_F(Replicas, AnUpdateThatTwoWereOfferedCountsOnce) {
  const DeviceId device = AddDevice("d"), second = AddDevice("e");
  const JobId job = Submit(Spec(2));
  Replica other(*context_, *store_, "other");
  const Invocation work = Arrive(device).invocations.at(0);
  Arrive(second);
  const Digest update = Stage(device, Update(1));
  for (UpdateIntake* intake : {&*intake_, &*other.intake, &*intake_}) {
    auto answer = OfferTo(*intake, device, work, update);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_NE(answer->verdict, Verdict::kRefused);
  }
  EXPECT_EQ(Parts(job).size(), 1u);
  EXPECT_EQ(std::get<Collecting>(Round(job, 1).state).reported, 1u);
}

TEST_F(Replicas, ACommitWhoseAnswerWasLostKeepsItsSumAndCountsOnce) {
  const DeviceId device = AddDevice("d");
  const JobId job = Submit(Spec(1));
  AmbiguousStore store(*store_);
  Replica shaky(*context_, store, "shaky");
  const Invocation work = Arrive(device).invocations.at(0);
  const Digest update = Stage(device, Update(1));
  store.lose_answers = 1;
  auto answer = OfferTo(*shaky.intake, device, work, update);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_NE(answer->verdict, Verdict::kRefused);
  ASSERT_EQ(Parts(job).size(), 1u);
  EXPECT_TRUE(blobs_->Has(Parts(job)[0].blob).value());
  RunTasks();
  EXPECT_TRUE(std::holds_alternative<Committed>(Round(job, 1).state));
}

TEST_F(Replicas, WhatOneCommitsWakesWhoWaitsAtTheOther) {
  HintedStore here(*store_), there(*store_);
  here.peer = &there;
  WakeUps their_wakeups;
  std::vector<WakeUps::Reason> woken;
  const auto wait = [&] {
    their_wakeups.WaitFor("key", their_wakeups.version("key"), std::chrono::hours(1),
                          [&](WakeUps::Reason reason) { woken.push_back(reason); });
  };
  const auto commit = [&](const absl::Status& answer) {
    Replica writer(*context_, here, "writer");
    return Transact(writer.context, [&](StoreTx&, AfterCommit& after) {
      after.Wake("key");
      return answer;
    });
  };
  {
    const HintListener listener(there, their_wakeups);
    wait();
    EXPECT_FALSE(commit(absl::CancelledError("nothing happened")).ok());
    EXPECT_TRUE(woken.empty());
    ASSERT_TRUE(commit(absl::OkStatus()).ok());
    EXPECT_THAT(woken, ::testing::ElementsAre(WakeUps::Reason::kWoken));
    wait();
  }
  ASSERT_TRUE(commit(absl::OkStatus()).ok());
  EXPECT_EQ(woken.size(), 1u) << "a listener that is gone was called";
}

}  // namespace
}  // namespace muster
