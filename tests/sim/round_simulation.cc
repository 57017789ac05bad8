// The real driver, intake and machines over the memory store, with devices, a clock and a network
// that are played from a seed: replies get lost, offers come twice and late, devices vanish, lie
// and fail, the intake dies, a task runner dies with tasks in its hands, the clock jumps. Whatever
// happens:
//   - every job ends
//   - an acknowledged update is in the sum, and a device counts at most once in a round
//   - no bad update is in the sum: the committed weights are, to the byte, what the counted ones
//   give
// MUSTER_SIM_SEEDS sets how many seeds are played, MUSTER_SIM_SEED plays one; a failure prints
// seed=.
#include <cstdlib>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "aggregation/optimizer/server_optimizer.h"
#include "aggregation/sum/weighted_sum.h"
#include "coordinator/drive/transitions.h"
#include "proto/core/log.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

constexpr uint64_t kDefaultSeeds = 200;
constexpr int kMaxSteps = 4000;

struct PlayedDevice {
  DeviceId id;
  bool liar = false;  // hands in NaN
  std::optional<Invocation> work;
};

class RoundSimulation : public SmallCoordinator {
 protected:
  void Play(uint64_t seed) {
    dice_.emplace(seed);
    spec_ = Spec(4, 3, 2);
    spec_.seed = seed;
    spec_.round.over_selection = 1.5;
    spec_.round.max_attempts = 10;
    devices_.clear();
    acknowledged_.clear();
    for (int i = 0; i < 8; ++i) {
      devices_.push_back(
          {.id = AddDevice("s" + std::to_string(seed) + "-" + std::to_string(i)), .liar = i == 7});
    }
    const JobId job = Submit(spec_);
    int steps = 0;
    while (!IsTerminal(Job(job).state)) {
      ASSERT_LT(++steps, kMaxSteps) << "the job does not end";
      OneStep();
    }
    CheckHistory(job);
  }

 private:
  bool Chance(double probability) { return dice_->Unit() < probability; }

  void OneStep() {
    PlayedDevice& device = devices_[dice_->Below(devices_.size())];
    const uint64_t what = dice_->Below(100);
    if (what < 35) {
      const CheckInAnswer answer = Arrive(device.id);
      const bool reply_lost = Chance(0.15);
      if (!reply_lost && !answer.invocations.empty()) device.work = answer.invocations.front();
    } else if (what < 70) {
      if (device.work) HandIn(device);
    } else if (what < 85) {
      ASSERT_TRUE(tasks_->RunDue().ok());
    } else if (what < 90) {
      DieWithTasks();
    } else if (what < 93) {
      RestartIntake();
    } else {
      clock_.Advance(std::chrono::milliseconds(dice_->Below(Chance(0.1) ? 120'000 : 4'000)));
    }
  }

  std::vector<float> UpdateOf(const DeviceId& device, uint32_t round) const {
    SeededRandom random(DeriveSeed(spec_.seed, device.value() + "/" + std::to_string(round)));
    std::vector<float> update(spec_.layout.shared_size());
    for (float& value : update) value = static_cast<float>(random.Unit() - 0.5);
    return update;
  }
  static uint64_t ExamplesOf(const DeviceId& device) {
    return 1 + DeriveSeed(3, device.value()) % 50;
  }

  void HandIn(PlayedDevice& device) {
    const Invocation work = *device.work;
    if (Chance(0.1)) {  // the function fails
      auto answer = AcceptResult(*context_, device.id, {.invocation = work.id, .failure = "no"});
      ASSERT_TRUE(answer.ok()) << answer.status();
      device.work.reset();
      return;
    }
    std::vector<float> update = UpdateOf(device.id, work.round);
    if (device.liar) update[dice_->Below(update.size())] = std::numeric_limits<float>::quiet_NaN();
    const Digest digest = Stage(device.id, update);
    const int times = Chance(0.2) ? 2 : 1;
    for (int i = 0; i < times; ++i) {
      auto answer = Offer(device.id, work.id, digest, ExamplesOf(device.id));
      if (!answer.ok()) {  // its staged file was consumed by the first of two offers, or a restart
        ASSERT_TRUE(absl::IsNotFound(answer.status()) || absl::IsUnavailable(answer.status()))
            << answer.status();
        continue;
      }
      if (answer->verdict != Verdict::kRefused) acknowledged_.insert(work.id);
      if (device.liar) {
        ASSERT_EQ(answer->verdict, Verdict::kRefused);
      }
    }
    const bool reply_lost = Chance(0.2);  // then it will offer the same again
    if (!reply_lost) device.work.reset();
  }

  // A runner that takes tasks and is never heard of again: their leases must run out.
  void DieWithTasks() {
    ASSERT_TRUE(store_
                    ->Write([&](StoreTx& tx) {
                      return tx
                          .ClaimTasks(clock_.Now(), clock_.Now() + context_->options.task_lease, 8)
                          .status();
                    })
                    .ok());
  }

  void CheckHistory(const JobId& job) {
    std::set<InvocationId> counted;
    ASSERT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      const auto rounds = reader.ListRounds(job, 1, 1000);
                      for (const RoundRecord& round : *rounds) {
                        CheckRound(reader, round, counted);
                      }
                      return absl::OkStatus();
                    })
                    .ok());
    for (const InvocationId& id : acknowledged_) {
      EXPECT_TRUE(counted.contains(id)) << "acknowledged and not in a sum: " << id.value();
    }
  }

  void CheckRound(const StoreReader& reader, const RoundRecord& round,
                  std::set<InvocationId>& counted) {
    ASSERT_TRUE(IsTerminal(round.state)) << round.id.ToString();
    WeightedSum sum(spec_.layout.shared_size());
    std::set<DeviceId> seen;
    const auto invocations = reader.ListInvocations(round.id, FunctionKind::kTrain);
    for (const InvocationRecord& invocation : *invocations) {
      EXPECT_TRUE(seen.insert(invocation.device).second) << "invited twice";
      if (invocation.status != InvocationStatus::kReported) continue;
      counted.insert(invocation.id);
      ASSERT_TRUE(
          sum.Add(UpdateOf(invocation.device, round.id.number), ExamplesOf(invocation.device))
              .ok());
    }
    const auto* committed = std::get_if<Committed>(&round.state);
    if (committed == nullptr) return;
    ++committed_rounds_;
    EXPECT_EQ(sum.clients(), committed->reported);
    EXPECT_EQ(sum.total_weight(), committed->examples);
    EXPECT_GE(committed->reported, round.policy.quorum);
    std::vector<float> mean(sum.size()),
        weights = ReadVector(*blobs_, round.base_weights, spec_.layout.total_size()).value();
    ASSERT_TRUE(sum.Mean(mean).ok());
    OptimizerState state;
    ASSERT_TRUE(ApplyServerOptimizer(spec_.server_optimizer, mean, weights, state).ok());
    const ModelRecord model = reader.FindModel({spec_.name, committed->model_version}).value();
    EXPECT_EQ(ReadVector(*blobs_, model.weights, weights.size()).value(), weights);
  }

  std::optional<SeededRandom> dice_;
  JobSpec spec_;
  std::vector<PlayedDevice> devices_;
  std::set<InvocationId> acknowledged_;

 protected:
  uint64_t committed_rounds_ = 0;  // over all seeds
};

TEST_F(RoundSimulation, NoHistoryBreaksAPromise) {
  SetLogLevel(LogLevel::kError);
  const char* one = std::getenv("MUSTER_SIM_SEED");
  const char* many = std::getenv("MUSTER_SIM_SEEDS");
  const uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const uint64_t count = one != nullptr    ? 1
                         : many != nullptr ? std::strtoull(many, nullptr, 10)
                                           : kDefaultSeeds;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    TearDown();  // each history has a coordinator of its own
    SetUp();
    Play(seed);
    if (HasFailure()) return;
  }
  EXPECT_GE(committed_rounds_, 2 * count) << "the histories hardly train: the dice are too hostile";
}

}  // namespace
}  // namespace muster
