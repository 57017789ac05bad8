// What Muster promises whatever fails, checked as a history goes and at its end:
//   - a device counts at most once in a round, and an acknowledged update is in the sum once: the
//     committed weights are, to the byte, what the counted updates give
//   - survivors are written once, nobody is asked about two sets of them, and masks come off for
//     no set whose shares do not reach the threshold; of no client both secrets are revealed
//   - every round that is open has its timer, every closed sum its task; all rounds end
//   - a task is completed under its last fence alone, and fences only grow
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/blobs/blob_store.h"
#include "coordinator/store/state_store.h"
#include "proto/core/secagg_messages.h"
#include "tests/sim/stores.h"
#include "tests/sim/world.h"

namespace muster::sim {

class Promises {
 public:
  explicit Promises(World& world) : world_(world) {}

  // What devices make. Each update has a digest of its own.
  void Made(const Digest& update, std::vector<float> values) { updates_[update] = values; }
  void Masked(const Digest& vector, std::string clear) { vectors_[vector] = clear; }
  void Revealed(const RoundId& round, const secagg::UnmaskReply& reply);

  // What a replica is about to say, while `store` is as durable as it is then.
  void Acknowledged(const StateStore& store, const InvocationId& id, const Digest& update);
  void StepTaken(const StateStore& store, const DeviceId& device, const InvocationId& id,
                 SecAggStep step);
  void Shown(const StateStore& store, const InvocationId& id, const secagg::Awaited& answer);

  void OnCommit(const Notes& notes, const StateStore& store);

  // Once everything is over.
  void CheckEnd(const StateStore& store, const BlobStore& blobs);

  struct Totals {
    uint64_t committed = 0, secure = 0, abandoned = 0, acknowledged = 0, succeeded = 0, failed = 0;
  };
  const Totals& totals() const { return totals_; }

 private:
  absl::Status CheckTimers(const StoreReader& reader, const RoundRecord& round) const;
  absl::Status CheckReveals(const StoreReader& reader, const RoundRecord& round);
  absl::Status CheckSurvivors(const RoundId& round, const secagg::ClientSet& survivors);
  absl::Status CheckRound(const StoreReader& reader, const BlobStore& blobs, const JobRecord& job,
                          const RoundRecord& round);
  absl::StatusOr<std::vector<float>> MeanOf(const StoreReader& reader, const JobRecord& job,
                                            const RoundRecord& round,
                                            const std::vector<InvocationRecord>& counted) const;
  void Must(const absl::Status& status);

  World& world_;
  std::map<Digest, std::vector<float>> updates_;
  std::map<Digest, std::string> vectors_;  // by what they became
  std::map<InvocationId, Digest> acknowledged_;
  std::map<RoundId, secagg::ClientSet> survivors_;
  std::map<RoundId, uint32_t> thresholds_;
  std::map<std::pair<RoundId, uint32_t>, bool> revealed_;  // of whom; true: the mask key
  std::set<RoundId> opened_;                               // secure sums that were closed
  std::map<RoundId, RoundState> ended_;
  std::map<std::string, uint64_t> fences_;
  uint64_t highest_fence_ = 0;
  Totals totals_;
};

}  // namespace muster::sim
