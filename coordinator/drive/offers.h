// What devices hand in: updates and results. An update is answered ACCEPTED only after the partial
// sum that contains it is durable, together with the row that says so; many updates share one
// commit.
//
// Each update is read twice from its staged file, in chunks: once to check it, once to add it. So a
// bad one never touches the sum, and memory is one accumulator for each open round, however many
// devices report at once.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "aggregation/sum/weighted_sum.h"
#include "coordinator/drive/context.h"

namespace muster {

class UpdateIntake {
 public:
  using Answer = std::function<void(absl::StatusOr<OfferAnswer>)>;

  explicit UpdateIntake(DriveContext& context);
  ~UpdateIntake();  // answers Unavailable to whoever still waits; they offer again
  UpdateIntake(const UpdateIntake&) = delete;
  UpdateIntake& operator=(const UpdateIntake&) = delete;

  // Checks the offer and its staged file on the caller's thread and answers refusals at once; a
  // good update waits for the next commit and is answered from the intake's thread.
  void Offer(const DeviceId& device, const UpdateOffer& offer, Answer answer);

 private:
  struct Pending {
    DeviceId device;
    UpdateOffer offer;
    InvocationRecord invocation;
    Answer answer;
  };
  // The sum so far of one round, and the blob that it was last written to or read from.
  struct Accumulator {
    std::unique_ptr<WeightedSum> sum;
    Digest durable;
  };

  absl::StatusOr<std::optional<OfferAnswer>> Check(const DeviceId& device, const UpdateOffer& offer,
                                                   InvocationRecord& invocation);
  absl::StatusOr<OfferAnswer> Refuse(const DeviceId& device, const UpdateOffer& offer,
                                     const std::string& reason);
  void Run();
  void CommitBatch(const RoundId& round, std::vector<Pending> batch);
  absl::Status AddAll(std::vector<Pending*>& members, Accumulator& accumulator);
  absl::Status Load(const RoundRecord& round, uint64_t size, Accumulator& accumulator);
  void DropClosedRounds();

  DriveContext& context_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  bool stopping_ = false;
  std::map<RoundId, std::vector<Pending>> queue_;
  std::map<RoundId, Accumulator> accumulators_;  // only the intake's thread touches them
  std::thread thread_;
};

// Evaluations, and failures of any function.
absl::StatusOr<OfferAnswer> AcceptResult(DriveContext& context, const DeviceId& device,
                                         const ResultOffer& offer);

// Owner of a principal's staged uploads: "device-ID".
std::string StagingOwner(std::string_view role, std::string_view id);

absl::Status CountUsage(StoreTx& tx, const std::string& job, const DeviceId& device,
                        const Metering& metering, uint64_t invocations);

}  // namespace muster
