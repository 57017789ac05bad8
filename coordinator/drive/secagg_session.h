// A round's secure aggregation session, as the store keeps it and as the protocol wants it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "aggregation/secagg/coordinator/coordinator.h"
#include "coordinator/store/state_store.h"
#include "proto/core/random.h"

namespace muster {

// What a session fixes, from the job and the round. `examples_cap`: the most that one client
// weighs. InvalidArgument or FailedPrecondition, with the numbers, where the job's choices do not
// fit together.
absl::StatusOr<secagg::Params> MakeParams(const JobRecord& job, const RoundRecord& round,
                                          uint64_t examples_cap, RandomSource& random);

// Before a job starts: could its rounds ever be summed securely, with their numbers of clients?
// Says so with the numbers if not. OK for jobs in the clear.
absl::Status CheckSecureJob(const JobSpec& spec);

// Clients whose noise a sum may lack and still be as private as promised: the floor that each
// client's share of distributed noise is made for.
uint32_t HonestFloor(const JobSpec& spec);

absl::StatusOr<secagg::Params> ReadParams(const StoreReader& reader, const RoundId& round);

// Frozen rosters by round. They are deterministic from what is stored, so they are a cache and
// nothing else. Thread-safe.
class SecAggRosters {
 public:
  // FailedPrecondition until the roster is frozen.
  absl::StatusOr<std::shared_ptr<const secagg::Roster>> Get(const StoreReader& reader,
                                                            const RoundId& round);

 private:
  std::mutex mutex_;
  std::map<RoundId, std::shared_ptr<const secagg::Roster>> rosters_;
};

// The members of a roster that sent something in `step`.
absl::StatusOr<secagg::ClientSet> SendersIn(const StoreReader& reader, const secagg::Roster& roster,
                                            const RoundId& round, SecAggStep step);
absl::StatusOr<std::vector<secagg::Advert>> ReadAdverts(const StoreReader& reader,
                                                        const RoundId& round);

// Freezing, in the transaction of the step that ends a phase.
absl::Status FreezeRosterInStore(StoreTx& tx, const RoundId& round);
absl::Status FreezeSharersInStore(StoreTx& tx, const RoundId& round);
absl::Status FreezeSurvivorsInStore(StoreTx& tx, const RoundId& round);

// Whether the phase that is open waits for this device.
absl::StatusOr<bool> IsAwaited(const StoreReader& reader, const RoundRecord& round,
                               const DeviceId& device);
// Whether the shares that were revealed open the sum.
absl::StatusOr<bool> CanOpen(const StoreReader& reader, const secagg::Roster& roster,
                             const RoundId& round);

}  // namespace muster
