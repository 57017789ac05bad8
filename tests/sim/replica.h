// One coordinator replica: the real driver over what its Reach lets through. A life ends at any
// point at which something becomes durable, or between two events; the next one starts from the
// store alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "coordinator/drive/dispatch.h"
#include "coordinator/drive/exchange.h"
#include "coordinator/drive/intake.h"
#include "coordinator/drive/secagg_session.h"
#include "coordinator/drive/tasks.h"
#include "models/package/package.h"
#include "tests/sim/blobs.h"
#include "tests/sim/promises.h"
#include "tests/sim/stores.h"
#include "tests/support/test_notary.h"

namespace muster::sim {

// What all replicas share, and what outlives them.
struct Durable {
  StateStore& store;  // as the replicas see it: a planted bug may stand before it
  const StateStore& truth;
  BlobStore& blobs;
  StagingArea& staging;
  const PackageSigner& signer;
  Promises& promises;
  size_t devices = 0;
};

template <typename Answer>
using Reply = std::function<void(absl::StatusOr<Answer>)>;

// From a start to its end. Whoever goes on with a life later holds it.
class Life : public std::enable_shared_from_this<Life> {
 public:
  Life(World& world, const Faults& faults, const Durable& durable, Clock& clock,
       const std::string& name, uint64_t number, const DriveOptions& options);
  void Begin();
  void Die(std::string_view where);
  bool dead() const { return reach.dead(); }

  // What devices ask, as the services of coordinator/rpc ask the driver. Answers come later; a dead
  // replica gives none.
  void CheckIn(const DeviceId& device, const muster::CheckIn& check_in, Reply<CheckInAnswer> reply);
  void Fetch(const Digest& blob, Reply<std::string> reply);
  // Of the bytes `cut` and more do not get through.
  void Upload(const DeviceId& device, const Digest& digest, const std::string& bytes, size_t cut,
              Reply<StagedUpload> reply);
  void Offer(const DeviceId& device, const UpdateOffer& offer, Reply<OfferAnswer> reply);
  void Result(const DeviceId& device, const ResultOffer& offer, Reply<OfferAnswer> reply);
  void Join(const DeviceId& device, const secagg::JoinAsk& ask, Reply<secagg::JoinAnswer> reply);
  void Advertise(const DeviceId& device, const secagg::AdvertOffer& o, Reply<OfferAnswer> reply);
  void Share(const DeviceId& device, const secagg::ShareOffer& o, Reply<OfferAnswer> reply);
  void Masked(const DeviceId& device, const secagg::MaskedOffer& o, Reply<OfferAnswer> reply);
  void Agree(const DeviceId& device, const secagg::ConsentOffer& o, Reply<OfferAnswer> reply);
  void Unmask(const DeviceId& device, const secagg::UnmaskOffer& o, Reply<OfferAnswer> reply);
  void Refuse(const DeviceId& device, const secagg::Refusal& o, Reply<OfferAnswer> reply);
  void Await(const DeviceId& device, const secagg::AwaitAsk& ask, Reply<secagg::Awaited> reply);

  Reach reach;

 private:
  using Look = std::function<bool(bool last)>;  // true once it answered
  void Hold(const std::string& key, Timestamp until, Look look);
  void RunIntakeSoon();
  void RunTasks();
  template <typename Message>
  void Take(absl::StatusOr<OfferAnswer> (SecureExchange::*act)(const DeviceId&, const Message&),
            SecAggStep step, const DeviceId& device, const Message& offer,
            const Reply<OfferAnswer>& reply);
  UpdateIntake::Answer Counted(const InvocationId& id, const Digest& update,
                               Reply<OfferAnswer> reply);

  World& world_;
  const Durable& durable_;
  ReachedStore store_;
  ReachedBlobs blobs_;
  ReachedStaging staging_;
  SeededRandom random_;
  const TestNotary notary_;
  SecAggRosters rosters_;
  WakeUps wakeups_;
  DriveContext context_;
  Dispatcher dispatcher_;
  UpdateIntake intake_;
  SecureExchange exchange_;
  TaskRunner tasks_;
  bool intake_due_ = false;

 public:
  DriveContext& context() { return context_; }
};

class Replica {
 public:
  Replica(World& world, const Faults& faults, const Durable& durable, std::string name,
          DriveOptions options)
      : clock(world),
        world_(world),
        faults_(faults),
        durable_(durable),
        name_(std::move(name)),
        options_(std::move(options)) {}

  // Null while it is down. One that died by itself is found out here, and comes back later.
  std::shared_ptr<Life> life();
  void Start();
  void Crash(std::string_view why);
  // Down for as long as nobody starts it.
  void Stop();
  const std::string& name() const { return name_; }

  SkewedClock clock;

 private:
  void Watch();

  World& world_;
  const Faults& faults_;
  const Durable& durable_;
  const std::string name_;
  const DriveOptions options_;
  uint64_t lives_ = 0;
  bool restart_due_ = false;
  std::shared_ptr<Life> life_;
};

}  // namespace muster::sim
