// Secure rounds over the real driver: the protocol's devices against the coordinator's exchange.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "aggregation/secagg/transcript.h"
#include "coordinator/drive/vector_blob.h"
#include "tests/support/secure_device.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

using testing::HasSubstr;

constexpr size_t kDevices = 7;
enum class Leg { kAdvertise, kShare, kMasked, kAgree, kUnmask };

class SecureRound : public SmallCoordinator, public testing::WithParamInterface<AggregationMode> {
 protected:
  void SetUp() override {
    SmallCoordinator::SetUp();
    for (size_t i = 0; i < kDevices; ++i) {
      devices_.push_back(std::make_unique<SecureDevice>(AddDevice("d" + std::to_string(i)),
                                                        *exchange_, *staging_, 100 + i));
    }
  }

  JobSpec SecureSpec(uint32_t quorum = 4) {
    JobSpec spec = Spec(kDevices, 1, quorum);
    spec.aggregation.mode = GetParam();
    spec.aggregation.drop = 0.1;
    spec.aggregation.clip = 10;
    spec.aggregation.phase_deadline = std::chrono::seconds(10);
    return spec;
  }
  void Begin() {
    for (auto& device : devices_) {
      CheckInAnswer answer = Arrive(device->id());
      ASSERT_EQ(answer.invocations.size(), 1u);
      EXPECT_TRUE(answer.invocations[0].secure);
      device->Begin(answer.invocations[0], ExamplesOf(*device));
    }
  }
  static uint64_t ExamplesOf(const SecureDevice& device) {
    return 10 + 10 * static_cast<uint64_t>(device.id().value()[1] - '0');
  }
  std::vector<Leg> Legs() const {
    if (GetParam() == AggregationMode::kMalicious) {
      return {Leg::kAdvertise, Leg::kShare, Leg::kMasked, Leg::kAgree, Leg::kUnmask};
    }
    return {Leg::kAdvertise, Leg::kShare, Leg::kMasked, Leg::kUnmask};
  }
  static absl::StatusOr<OfferAnswer> Take(SecureDevice& device, Leg leg) {
    switch (leg) {
      case Leg::kAdvertise:
        return device.Advertise();
      case Leg::kShare:
        return device.Share();
      case Leg::kMasked:
        return device.SubmitMasked();
      case Leg::kAgree:
        return device.Agree();
      case Leg::kUnmask:
        return device.Unmask();
    }
    return absl::InternalError("no such leg");
  }
  // A leg for every device that is still there.
  void Walk(Leg leg, const std::set<size_t>& gone = {}) {
    for (size_t i = 0; i < devices_.size(); ++i) {
      if (gone.contains(i)) continue;
      // Unmasking ends as soon as the shares suffice.
      if (leg == Leg::kUnmask && !std::holds_alternative<Unmasking>(Round(job_, 1).state)) {
        return;
      }
      const auto answer = Take(*devices_[i], leg);
      ASSERT_TRUE(answer.ok()) << answer.status();
      ASSERT_EQ(answer->verdict, Verdict::kAccepted) << answer->reason;
    }
  }
  // The deadline of the phase that is open.
  void Expire() {
    clock_.Advance(std::chrono::seconds(70));
    RunTasks();
  }
  // As after kill -9 of the coordinator.
  void Restart() {
    RestartCoordinator();
    for (auto& device : devices_) device->UseExchange(*exchange_);
  }

  // The example-weighted mean of `members`, added to the initial weights.
  std::vector<float> Expected(const JobSpec& spec, const std::set<size_t>& gone = {}) {
    const size_t size = spec.layout.shared_size();
    std::vector<double> sum(size, 0);
    double weight = 0;
    for (size_t i = 0; i < devices_.size(); ++i) {
      if (gone.contains(i)) continue;
      // The cap is what devices said they train on; see SmallCoordinator::Ready().
      const double w = static_cast<double>(ExamplesOf(*devices_[i])) / 100;
      const auto update = SecureDevice::UpdateOf(devices_[i]->id(), 1, size);
      for (size_t j = 0; j < size; ++j) sum[j] += w * update[j];
      weight += w;
    }
    auto expected = ReadVector(*blobs_, spec.initial_weights, size).value();
    for (size_t j = 0; j < size; ++j) expected[j] += static_cast<float>(sum[j] / weight);
    return expected;
  }
  void ExpectModel(const JobSpec& spec, const std::set<size_t>& gone = {}) {
    RunTasks();
    const RoundRecord round = Round(job_, 1);
    ASSERT_TRUE(std::holds_alternative<Committed>(round.state)) << PhaseName(round.state);
    const auto model = ReadVector(*blobs_, Weights(1), spec.layout.total_size()).value();
    const auto expected = Expected(spec, gone);
    for (size_t j = 0; j < model.size(); ++j) ASSERT_NEAR(model[j], expected[j], 1e-4);
  }

  std::vector<std::unique_ptr<SecureDevice>> devices_;
  JobId job_;
};

INSTANTIATE_TEST_SUITE_P(Modes, SecureRound,
                         testing::Values(AggregationMode::kSemiHonest, AggregationMode::kMalicious),
                         [](const auto& info) {
                           return info.param == AggregationMode::kMalicious ? "Malicious"
                                                                            : "SemiHonest";
                         });

TEST_P(SecureRound, TheModelMovesByTheMeanThatNobodySawThePartsOf) {
  const JobSpec spec = SecureSpec();
  job_ = Submit(spec);
  Begin();
  for (const Leg leg : Legs()) Walk(leg);
  ExpectModel(spec);
  const RoundRecord round = Round(job_, 1);
  const auto& committed = std::get<Committed>(round.state);
  EXPECT_EQ(committed.reported, kDevices);
  EXPECT_EQ(committed.examples, 10u + 20 + 30 + 40 + 50 + 60 + 70);
  EXPECT_NEAR(Round(job_, 1).metrics.at("train_loss"), 0.5, 1e-3);
  EXPECT_NEAR(Round(job_, 1).metrics.at("unclipped_fraction"), 1.0, 1e-9);
}

TEST_P(SecureRound, NothingOfASingleDeviceIsKeptAfterwards) {
  job_ = Submit(SecureSpec());
  Begin();
  for (const Leg leg : Legs()) Walk(leg);
  RunTasks();
  const RoundId round = Round(job_, 1).id;
  ASSERT_TRUE(store_
                  ->Read([&](const StoreReader& reader) -> absl::Status {
                    for (const SecAggStep step :
                         {SecAggStep::kAdvert, SecAggStep::kShares, SecAggStep::kMasked,
                          SecAggStep::kConsent, SecAggStep::kReveal}) {
                      EXPECT_TRUE(reader.ListSecAggSenders(round, step)->empty());
                    }
                    const auto invocations = reader.ListInvocations(round, FunctionKind::kTrain);
                    for (const auto& i : *invocations) {
                      EXPECT_TRUE(i.metrics.empty());
                      EXPECT_EQ(i.examples, 0u);
                    }
                    return absl::OkStatus();
                  })
                  .ok());
  for (const auto& device : devices_) {
    EXPECT_FALSE(staging_->Stat("device-" + device->id().value(), Sha256(device->y()))->complete);
  }
}

TEST_P(SecureRound, ARepeatedMessageIsTakenOnceAndADifferentOneRefused) {
  const JobSpec spec = SecureSpec();
  job_ = Submit(spec);
  Begin();
  for (const Leg leg : Legs()) {
    // All but the last, so that the phase stays open.
    for (size_t i = 0; i + 1 < devices_.size(); ++i) {
      if (leg == Leg::kUnmask && !std::holds_alternative<Unmasking>(Round(job_, 1).state)) break;
      ASSERT_EQ(Take(*devices_[i], leg)->verdict, Verdict::kAccepted);
      if (leg == Leg::kUnmask && !std::holds_alternative<Unmasking>(Round(job_, 1).state)) break;
      ASSERT_EQ(Take(*devices_[i], leg)->verdict, Verdict::kDuplicate);
    }
    if (leg == Leg::kUnmask) break;
    SecureDevice other(devices_[0]->id(), *exchange_, *staging_, 999);
    other.Begin(devices_[0]->invocation());
    if (leg == Leg::kAdvertise) {
      const auto answer = other.Advertise();
      EXPECT_EQ(answer->verdict, Verdict::kRefused);
      EXPECT_THAT(answer->reason, HasSubstr("another advert"));
    }
    ASSERT_EQ(Take(*devices_.back(), leg)->verdict, Verdict::kAccepted);
  }
  ExpectModel(spec);
}

TEST_P(SecureRound, KillingTheCoordinatorBetweenAnyTwoMessagesChangesNothing) {
  const JobSpec spec = SecureSpec();
  job_ = Submit(spec);
  Begin();
  for (const Leg leg : Legs()) {
    for (auto& device : devices_) {
      if (leg == Leg::kUnmask && !std::holds_alternative<Unmasking>(Round(job_, 1).state)) break;
      Restart();
      const auto answer = Take(*device, leg);
      ASSERT_TRUE(answer.ok()) << answer.status();
      ASSERT_EQ(answer->verdict, Verdict::kAccepted) << answer->reason;
    }
  }
  Restart();
  ExpectModel(spec);
}

TEST_P(SecureRound, OneDeviceMayDropOutInAnyPhase) {
  // One for each leg in turn. Who drops after the vector counts; who drops before does not.
  for (const Leg drop : Legs()) {
    SCOPED_TRACE(static_cast<int>(drop));
    devices_.clear();
    TearDown();
    SetUp();
    const JobSpec spec = SecureSpec();
    job_ = Submit(spec);
    Begin();
    bool gone = false;
    for (const Leg leg : Legs()) {
      gone = gone || leg == drop;
      Walk(leg, gone ? std::set<size_t>{3} : std::set<size_t>{});
      if (leg == drop) Expire();
    }
    ExpectModel(spec, drop <= Leg::kMasked ? std::set<size_t>{3} : std::set<size_t>{});
  }
}

TEST_P(SecureRound, ALateVectorIsRefusedAndDeleted) {
  const JobSpec spec = SecureSpec();
  job_ = Submit(spec);
  Begin();
  Walk(Leg::kAdvertise);
  Walk(Leg::kShare);
  Walk(Leg::kMasked, {5});
  Expire();
  const auto late = devices_[5]->SubmitMasked();
  ASSERT_TRUE(late.status().ok() || absl::IsCancelled(late.status())) << late.status();
  // The same with a vector that it had masked in time.
  secagg::MaskedOffer offer{.invocation = devices_[5]->invocation().id,
                            .report = {.vector = Sha256("y"), .neighbours = Sha256("n")}};
  offer.report.signature = "s";
  const std::string owner = "device-d5";
  ASSERT_TRUE(staging_->Append(owner, offer.report.vector, 1, 0, "y").ok());
  ASSERT_TRUE(staging_->Flush(owner, offer.report.vector).ok());
  const auto answer = devices_[5]->Submit(offer);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->verdict, Verdict::kRefused);
  EXPECT_FALSE(staging_->Stat(owner, offer.report.vector)->complete);
}

TEST_P(SecureRound, AVectorOfTheWrongLengthEndsThatDevicesPartAlone) {
  const JobSpec spec = SecureSpec();
  job_ = Submit(spec);
  Begin();
  Walk(Leg::kAdvertise);
  Walk(Leg::kShare);
  ASSERT_TRUE(devices_[2]->SubmitMasked().ok() || true);
  for (size_t i = 0; i < devices_.size(); ++i) {
    if (i == 2 || i == 4) continue;
    ASSERT_EQ(devices_[i]->SubmitMasked()->verdict, Verdict::kAccepted);
  }
  // A correct report about bytes of another length.
  secagg::ClientState state = devices_[4]->State();
  const std::string shorter = "too short";
  const auto view = exchange_->Await(devices_[4]->id(), {.invocation = devices_[4]->invocation().id,
                                                         .phase = secagg::AwaitedPhase::kShares});
  ASSERT_TRUE(view.ok());
  const TestNotary notary;
  const TestSigner signer(devices_[4]->id());
  auto masking = secagg::PrepareMasks(devices_[4]->params(), std::get<secagg::Shared>(state),
                                      std::get<secagg::SharesView>(view->answer), notary);
  ASSERT_TRUE(masking.ok()) << masking.status();
  auto masked = secagg::FinishMasked(*std::move(masking), Sha256(shorter), signer);
  ASSERT_TRUE(masked.ok());
  const std::string owner = "device-d4";
  ASSERT_TRUE(staging_->Append(owner, Sha256(shorter), shorter.size(), 0, shorter).ok());
  ASSERT_TRUE(staging_->Flush(owner, Sha256(shorter)).ok());
  const auto answer =
      devices_[4]->Submit({.invocation = devices_[4]->invocation().id, .report = masked->report});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->verdict, Verdict::kRefused);
  EXPECT_THAT(answer->reason, HasSubstr("wrong shape"));
  for (const Leg leg : Legs()) {
    if (leg > Leg::kMasked) Walk(leg, {4});
  }
  ExpectModel(spec, {4});
}

TEST_P(SecureRound, TakesNoUpdateInTheClear) {
  const JobSpec spec = SecureSpec();
  job_ = Submit(spec);
  Begin();
  const std::vector<float> update(spec.layout.shared_size(), 1.0f);
  const auto answer =
      Offer(devices_[0]->id(), devices_[0]->invocation().id, Stage(devices_[0]->id(), update));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->verdict, Verdict::kRefused);
  EXPECT_THAT(answer->reason, HasSubstr("masked vectors alone"));
}

TEST_P(SecureRound, BadSignaturesAndOthersSharesAreRefused) {
  job_ = Submit(SecureSpec());
  Begin();
  ASSERT_EQ(devices_[0]->Advertise()->verdict, Verdict::kAccepted);
  secagg::ClientState own = devices_[0]->State();
  secagg::AdvertOffer stolen{.invocation = devices_[1]->invocation().id,
                             .advert = std::get<secagg::Advertised>(own).advert};
  const auto answer = exchange_->Advertise(devices_[1]->id(), stolen);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->verdict, Verdict::kRefused);
  // It is another device's invocation, too.
  stolen.invocation = devices_[0]->invocation().id;
  EXPECT_TRUE(absl::IsNotFound(exchange_->Advertise(devices_[1]->id(), stolen).status()));
}

TEST_P(SecureRound, ARoundBelowItsQuorumOpensNothingAndIsTriedAgainWithNewKeys) {
  const JobSpec spec = SecureSpec(6);
  job_ = Submit(spec);
  Begin();
  Walk(Leg::kAdvertise);
  Walk(Leg::kShare);
  Walk(Leg::kMasked, {0, 1});
  Expire();
  const RoundRecord first = Round(job_, 1);
  ASSERT_TRUE(std::holds_alternative<Abandoned>(first.state));
  EXPECT_THAT(std::get<Abandoned>(first.state).reason, HasSubstr("the quorum is 6"));
  EXPECT_EQ(Job(job_).releases, 0u);
  const RoundRecord second = Round(job_, 1, 2);
  EXPECT_TRUE(std::holds_alternative<Collecting>(second.state));
}

TEST_P(SecureRound, TooFewClientsAreRefusedBeforeTheJobStartsWithTheNumbers) {
  JobSpec spec = SecureSpec();
  spec.round.clients = 3;
  spec.round.quorum = 3;
  const auto job = SubmitJob(*context_, spec, "researcher/test", "researcher-test", "");
  ASSERT_FALSE(job.ok());
  EXPECT_THAT(std::string(job.status().message()), HasSubstr("4"));
  spec = SecureSpec();
  spec.aggregation.drop = 0.45;
  const auto fragile = SubmitJob(*context_, spec, "researcher/test", "researcher-test", "");
  ASSERT_FALSE(fragile.ok());
  EXPECT_THAT(std::string(fragile.status().message()), HasSubstr("muster secagg plan"));
}

TEST_P(SecureRound, FalseSharesAreFoundOutAndTheSumIsOpenedWithoutThem) {
  const JobSpec spec = SecureSpec();
  job_ = Submit(spec);
  Begin();
  for (const Leg leg : Legs()) {
    if (leg != Leg::kUnmask) Walk(leg);
  }
  // One device reveals noise. Nobody can tell before the secrets are put together.
  const auto look = exchange_->Await(devices_[6]->id(), {.invocation = devices_[6]->invocation().id,
                                                         .phase = secagg::AwaitedPhase::kUnmask});
  ASSERT_TRUE(look.ok());
  const TestNotary notary;
  auto answered = secagg::Unmask(devices_[6]->params(), devices_[6]->State(),
                                 std::get<secagg::UnmaskRequest>(look->answer), notary);
  ASSERT_TRUE(answered.ok()) << answered.status();
  for (auto& share : answered->reply.self_shares) share.share[0] ^= 1;
  ASSERT_EQ(exchange_
                ->Unmask(devices_[6]->id(),
                         {.invocation = devices_[6]->invocation().id, .reply = answered->reply})
                ->verdict,
            Verdict::kAccepted);
  Walk(Leg::kUnmask, {6});
  RunTasks();
  const RoundRecord round = Round(job_, 1);
  if (std::holds_alternative<Committed>(round.state)) {
    ExpectModel(spec);
  } else {
    EXPECT_TRUE(std::holds_alternative<Abandoned>(round.state));
  }
}

}  // namespace
}  // namespace muster
