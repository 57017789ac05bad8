// What the driver works with, and how it commits.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "aggregation/secagg/notary.h"
#include "coordinator/blobs/blob_store.h"
#include "coordinator/blobs/staging.h"
#include "coordinator/drive/wakeups.h"
#include "coordinator/flow/limits.h"
#include "coordinator/store/state_store.h"
#include "models/package/package.h"
#include "proto/core/device_messages.h"
#include "proto/core/limits.h"
#include "proto/core/random.h"
#include "proto/core/time.h"

namespace muster {

class SecAggRosters;

struct DriveOptions {
  // This replica's name: it adds to a part of a round's sum of its own. Two replicas of one name
  // harm nothing but each other's speed.
  std::string replica = "main";
  Duration pace_min = std::chrono::seconds(2);  // between check-ins of an idle device
  Duration pace_max = std::chrono::minutes(10);
  double check_ins_per_second = 500;                // that pace steering aims at
  Duration presence = std::chrono::minutes(2);      // a device seen within this may be selected
  Duration touch_every = std::chrono::seconds(10);  // how often last_seen is written
  Duration task_lease = std::chrono::seconds(60);
  size_t max_open_rounds = limits::kDefaultMaxOpenRounds;  // for which jobs may be submitted
  uint32_t max_cohort = limits::kMaxCohort;                // devices that a round may ask for
  double unmask_ahead = 0.25;    // share of the answers that unmasking may go without
  size_t max_staged_batch = 64;  // updates in one commit of a partial sum
  unsigned unmask_threads = 0;   // that take the masks off a sum; 0: one for each core
};

// References to the parts; main.cc owns them.
struct DriveContext {
  StateStore& store;
  BlobStore& blobs;
  StagingArea& staging;
  Clock& clock;
  RandomSource& random;
  const PackageSigner& signer;
  const secagg::Notary& notary;  // checks what devices sign
  SecAggRosters& rosters;
  WakeUps& wakeups;
  DriveOptions options;
  BlobStore* sealed = nullptr;  // seals what lies on the disk; null: `blobs`, in the clear
  TrustUpdate trust = {};       // what devices should trust; generation 0: nothing to say

  // Partial sums of updates.
  BlobStore& sums() const { return sealed == nullptr ? blobs : *sealed; }
};

// Who has to be woken once the transaction is durable. Only hints: whoever misses one polls.
class AfterCommit {
 public:
  void Wake(std::string key) { keys_.insert(std::move(key)); }
  void Clear() { keys_.clear(); }
  const std::set<std::string>& keys() const { return keys_; }

 private:
  std::set<std::string> keys_;
};

// Runs `work` in a transaction, again when another writer came first (Aborted), and wakes whom it
// named after the commit: here, and by a hint on the other replicas. Unknown passes through: then
// what `work` wrote may be durable (see StateStore).
absl::Status Transact(DriveContext& context,
                      const std::function<absl::Status(StoreTx&, AfterCommit&)>& work);

// Passes the hints of other replicas on to `wakeups`, while it lives.
class HintListener {
 public:
  HintListener(StateStore& store, WakeUps& wakeups);
  ~HintListener();
  HintListener(const HintListener&) = delete;
  HintListener& operator=(const HintListener&) = delete;

 private:
  StateStore& store_;
};

// Wake-up keys.
std::string DeviceKey(const DeviceId& device);
std::string JobKey(const JobId& job);
std::string PhaseKey(const RoundId& round);  // another phase began
inline constexpr char kTasksKey[] = "tasks";

}  // namespace muster
