// The intake of updates, in the clear or masked. An offer is answered ACCEPTED only after the
// partial sum that contains it is durable, together with the row that says so; many updates share
// one commit. Each replica has a part of a round's sum of its own, so replicas take updates of one
// round side by side; an update that two of them were offered counts in the part that commits
// first.
//
// A clear update is read twice from its staged file, in chunks: once to check it, once to add it.
// So a bad one never touches the sum. Of a masked vector only the length can be checked. Memory is
// one sum for each open round, however many devices report at once.
//
// Start() commits from a thread of its own. Without it nothing is committed until somebody calls
// RunQueued(): so a simulation has the whole coordinator in one thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "coordinator/drive/context.h"
#include "coordinator/drive/round_sum.h"
#include "proto/core/secagg_messages.h"

namespace muster {

class UpdateIntake {
 public:
  using Answer = std::function<void(absl::StatusOr<OfferAnswer>)>;

  explicit UpdateIntake(DriveContext& context);
  ~UpdateIntake();  // answers Unavailable to whoever still waits; they offer again
  UpdateIntake(const UpdateIntake&) = delete;
  UpdateIntake& operator=(const UpdateIntake&) = delete;

  void Start();

  // Commits and answers every offer that waits, on the caller's thread; returns how many waited.
  // Not beside Start().
  size_t RunQueued();

  // Checks the offer and its staged file on the caller's thread and answers refusals at once; a
  // good update waits for the next commit and is answered from the thread that commits.
  void Offer(const DeviceId& device, const UpdateOffer& offer, Answer answer);
  // The same for a masked vector. `report` was checked against the session by the caller; `message`
  // is what the store keeps of it. A vector that comes too late is deleted.
  void OfferMasked(const DeviceId& device, const secagg::MaskedOffer& offer, std::string message,
                   Answer answer);

 private:
  struct Pending {
    DeviceId device;
    UpdateOffer offer;
    std::string masked;  // the message of a masked vector, or empty
    RoundId round;
    Answer answer;
  };
  // This replica's part of one round's sum, and the row and blob that it agrees with.
  struct Accumulator {
    std::unique_ptr<RoundSum> sum;
    PartialSumRecord durable;
  };

  void Enqueue(Pending pending);
  absl::StatusOr<std::optional<OfferAnswer>> Check(Pending& pending);
  void DropLate(const Pending& pending);
  struct Batch {
    RoundId round;
    std::vector<Pending> offers;
  };
  void Run();
  Batch TakeBatch();  // with the mutex held; the queue is not empty
  void CommitBatch(const RoundId& round, std::vector<Pending> batch);
  absl::Status TryCommit(const RoundId& id, std::vector<Pending*>& members);
  absl::Status DropDecided(const RoundId& id, std::vector<Pending*>& members,
                           PartialSumRecord& durable, SumShape& shape);
  absl::Status Load(const PartialSumRecord& durable, const SumShape& shape,
                    Accumulator& accumulator);
  absl::Status AddAll(std::vector<Pending*>& members, Accumulator& accumulator);
  absl::Status CommitRows(const std::vector<Pending*>& members, const PartialSumRecord& next,
                          bool& refused);
  void DropClosedRounds();

  DriveContext& context_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  bool stopping_ = false;
  std::map<RoundId, std::vector<Pending>> queue_;
  std::map<RoundId, Accumulator> accumulators_;  // only the thread that commits touches them
  std::thread thread_;
};

}  // namespace muster
